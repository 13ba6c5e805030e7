"""Graphs as pictures: SVG, made here, that a notebook shows by itself."""

import hashlib
from dataclasses import dataclass
from html import escape

from coursekit.graph.graph import Graph, Node
from coursekit.graph.layout import Bend, Layout, lay_out
from coursekit.graph.operations import OPERATIONS
from coursekit.measure.text import binary, si

LETTER, LINE, TALL, STEP, MARGIN, BESIDE = 6.7, 14, 54, 92, 12, 10
"""Pixels: the width of a letter, a line of text, a node, the way from layer to layer, the margin, between two arrows
from one node to another.
"""

KINDS = {
    "input": ("#ffffff", "input"),
    "constant": ("#eeeeee", "constant"),
    "elementwise": ("#cde8ff", "elementwise"),
    "reduction": ("#ffe3b3", "reduction or normalisation"),
    "movement": ("#e6e0f5", "moves or shows numbers"),
    "product": ("#ffd0c7", "product, convolution or network"),
}
"""The fill of each kind, light enough for black letters (a contrast of 14 and more), and its name."""

REDUCTIONS = ("sum", "max", "reduce", "log_sum_exp", "softmax", "layer_norm", "rms_norm", "histogram")
MOVEMENTS = (
    *("item", "reshape", "transpose", "broadcast_to", "slice", "place", "cast", "embedding", "add_rows"),
    *("csr_places", "block_places", "two_four_places", "pack_linear", "pack_signs", "pack_int8", "pack_int4"),
    "pack_int8_filters",
)
PRODUCTS = ("matmul", "linear", "conv2d", "attention", "rnn", "lstm", "gru")


@dataclass(frozen=True, repr=False)
class Drawing:
    """A picture, and the same in words.

    Attributes:
        svg: the picture; a notebook shows it.
        alt: for each node a sentence.
        boxes: for each node that is drawn left, top, width and height, in pixels.
    """

    svg: str
    alt: str
    boxes: dict[Node, tuple[float, float, float, float]]

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return self.alt


def draw(graph: Graph, title: str = "A computation graph") -> Drawing:
    """A picture of a graph: data flows down, each node says what it does, its result's shape, and what it costs.

    Inputs have round ends, constants a dashed frame, outputs a double one; the colour says the kind once more.
    Constants of one number are not drawn: they stand in the node that reads them. A node that reads another twice has
    two arrows from it.
    """
    nodes = [node for node in graph.nodes if not _is_number(node) or node in graph.outputs]
    edges = [(read, node) for node in nodes for read in node.inputs if read in set(nodes)]
    lines = {node: _lines(node, nodes) for node in nodes}
    widths = {node: LETTER * max(map(len, lines[node])) + 2 * MARGIN for node in nodes}
    layout = lay_out(nodes, edges, widths)
    boxes = _boxes(layout, widths)
    return Drawing(_svg(graph, title, layout, boxes, lines), describe(graph, title), boxes)


def describe(graph: Graph, title: str = "A computation graph") -> str:
    """The graph in words: a sentence for each node."""
    names, sentences = {}, []
    for node in graph.nodes:
        names[node] = node.name or f"{node.operation} {len(names)}"
        result = " and ".join(f"{spec.dtype} {_shape(spec.shape)}" for spec in node.results)
        of = f" of {', '.join(names[read] for read in node.inputs)}" if node.inputs else ""
        wanted = ", an output" if node in graph.outputs else ""
        kind = f", {kind_of(node)}" if not node.computes else ""
        sentences.append(f"{names[node]}{kind}{of}: {result}{wanted}.")
    cost = graph.cost
    return (
        f"{title}: {graph.kernels} operations, {si(cost.flops, 'FLOP')}, {binary(cost.bytes)}.\n"
        + "\n".join(sentences)
    )


def kind_of(node: Node) -> str:
    """One of :data:`KINDS`."""
    if not node.computes:
        return node.operation
    if node.operation in MOVEMENTS:
        return "movement"
    name = node.operation.removesuffix("_grad")
    if name in REDUCTIONS:
        return "reduction"
    pointwise = OPERATIONS[node.operation].elementwise or name.startswith(
        ("bias_", "scale_", "adam", "fused")
    )
    return "elementwise" if pointwise else "product" if _multiplies(name) else "reduction"


def _multiplies(name: str) -> bool:
    return any(word in name for word in PRODUCTS)


def _is_number(node) -> bool:
    return node.operation == "constant" and node.result.size == 1


def _shape(shape) -> str:
    return " × ".join(map(str, shape)) if shape else "number"


def _lines(node: Node, drawn) -> tuple[str, ...]:
    """What stands in a node."""
    name = node.name or (repr(node.options["body"]) if node.operation == "fused" else node.operation)
    name = f"result {node.options['index']}" if node.operation == "item" else name
    name = f"fused: {name}" if node.operation == "fused" else name
    numbers = [f"{read.value.reshape(()):g}" for read in node.inputs if read not in set(drawn)]
    first = f"{name} ({', '.join(numbers)})" if numbers else name
    shapes = ", ".join(_shape(spec.shape) for spec in node.results)
    if not node.computes:
        return first, f"{shapes}, {node.dtype}", kind_of(node)
    cost = node.cost
    third = f"{si(cost.flops, 'FLOP')}, {binary(cost.bytes)}" if cost.flops or cost.bytes else "free"
    return first, shapes, third


def _boxes(layout: Layout, widths) -> dict[Node, tuple[float, float, float, float]]:
    return {
        node: (MARGIN + layout.centres[node] - widths[node] / 2, MARGIN + level * STEP, widths[node], TALL)
        for level, layer in enumerate(layout.layers)
        for node in layer
        if not isinstance(node, Bend)
    }


def _svg(graph, title, layout, boxes, lines) -> str:
    wide = max((x + w for x, _, w, _ in boxes.values()), default=0)
    wide = max([wide, *(MARGIN + layout.centres[b] for p in layout.paths.values() for b in p)]) + MARGIN
    tall = MARGIN + len(layout.layers) * STEP
    body = [
        _edge(path, layout, boxes, aside) for path in layout.paths.values() for aside in _sides(path, boxes)
    ]
    body += [_box(node, graph, box, lines[node]) for node, box in boxes.items()]
    legend, wide, tall = _legend(boxes, max(wide, 300.0), tall)
    text = "\n".join([*body, *legend])
    mark = hashlib.sha256(text.encode()).hexdigest()[:8]  # several pictures may stand on one page
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{tall:.0f}" '
        f'viewBox="0 0 {wide:.0f} {tall:.0f}" style="max-width:100%;height:auto" role="img" '
        f'aria-labelledby="t{mark} d{mark}">\n'
        f'<title id="t{mark}">{escape(title)}</title>\n<desc id="d{mark}">{escape(describe(graph, title))}</desc>\n'
        f'<defs><marker id="a{mark}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto"><path d="M0 0L8 4L0 8z" fill="#444444"/></marker></defs>\n'
        f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
        f'<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="11" text-anchor="middle" '
        f'fill="#111111">\n{text.replace("MARKER", f"url(#a{mark})")}\n</g>\n</svg>'
    )


def _sides(path, boxes) -> list[float]:
    """How far to the right of the path each arrow goes: one for each time that its end reads its start."""
    start, end = path[0], path[-1]
    count = end.inputs.count(start)
    step = min(BESIDE, boxes[start][2] / count, boxes[end][2] / count)
    return [step * (number - (count - 1) / 2) for number in range(count)]


def _edge(path, layout, boxes, aside) -> str:
    """From the bottom of one node to the top of another: curves between layers, and straight down through them."""
    spans = [(x + aside, top, bottom) for x, top, bottom in (_span(item, layout, boxes) for item in path)]
    x, _, y = spans[0]
    words = [f"M{x:.1f} {y:.1f}"]
    for x1, top, bottom in spans[1:]:
        middle = (y + top) / 2
        words.append(f"C{x:.1f} {middle:.1f} {x1:.1f} {middle:.1f} {x1:.1f} {top:.1f}")
        x, y = x1, bottom
        words.append(f"V{bottom:.1f}")
    return f'<path d="{" ".join(words[:-1])}" fill="none" stroke="#444444" stroke-width="1.2" marker-end="MARKER"/>'


def _span(item, layout, boxes) -> tuple[float, float, float]:
    """Where an edge meets an item: from left to right, at the top and at the bottom."""
    if isinstance(item, Bend):
        x, top = MARGIN + layout.centres[item], MARGIN + item.layer * STEP
    else:
        left, top, width, _ = boxes[item]
        x = left + width / 2
    return x, top, top + TALL


def _box(node, graph, box, lines) -> str:
    x, y, w, h = box
    fill, words = KINDS[kind_of(node)]
    round_, dash = (
        (27 if node.operation == "input" else 4),
        ' stroke-dasharray="4 3"' * (node.operation == "constant"),
    )
    frame = f'<rect x="{x:.1f}" y="{y:.1f}" width="{w:.1f}" height="{h:.1f}" rx="{round_}" fill="{fill}" '
    parts = [f'{frame}stroke="#333333"{dash}/>']
    if node in graph.outputs:
        inner = f'x="{x + 3:.1f}" y="{y + 3:.1f}" width="{w - 6:.1f}" height="{h - 6:.1f}" rx="{max(round_ - 3, 2)}"'
        parts.append(f'<rect {inner} fill="none" stroke="#333333"/>')
    for number, line in enumerate(lines):
        weight = ' font-weight="bold"' if number == 0 else ""
        place = f'x="{x + w / 2:.1f}" y="{y + 17 + LINE * number:.1f}"'
        parts.append(f"<text {place}{weight}>{escape(line)}</text>")
    return f'<g class="node"><title>{escape(words)}</title>{"".join(parts)}</g>'


def _legend(boxes, wide, tall):
    """The kinds that occur, in rows below."""
    kinds = [kind for kind in KINDS if any(kind_of(node) == kind for node in boxes)]
    parts, x, y = [], float(MARGIN), tall
    for words, fill in [*((KINDS[k][1], KINDS[k][0]) for k in kinds), ("double frame: output", "#ffffff")]:
        room = 24 + LETTER * len(words) + MARGIN
        if x + room > wide and x > MARGIN:
            x, y = float(MARGIN), y + 18
        parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="14" height="11" fill="{fill}" stroke="#333333"/>'
            f'<text x="{x + 20:.1f}" y="{y + 10:.1f}" text-anchor="start">{words}</text>'
        )
        x += room
    return (
        parts,
        max(wide, *(24 + LETTER * len(KINDS[k][1]) + 2 * MARGIN for k in kinds or ["input"])),
        y + 24,
    )
