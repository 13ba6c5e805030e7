"""Pictures of graphs: well formed, readable, and nothing on top of anything else."""

from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit import graph
from coursekit.graph import Spec, draw, gradient, optimise, trace
from coursekit.graph.draw import KINDS, kind_of
from coursekit.graph.layout import GAP, crossings, lay_out, spread
from tests.graph.random_graphs import inputs_of, loss_of, steps

SVG = "{http://www.w3.org/2000/svg}"


def check(made):
    drawing = draw(made)
    root = ElementTree.fromstring(drawing.svg)
    wide, tall = float(root.get("width")), float(root.get("height"))
    boxes = list(drawing.boxes.values())
    for x, y, w, h in boxes:
        assert x >= 0 and y >= 0 and x + w <= wide and y + h <= tall
    for (x0, y0, w0, h0), (x1, y1, w1, h1) in combinations(boxes, 2):
        assert x0 + w0 <= x1 or x1 + w1 <= x0 or y0 + h0 <= y1 or y1 + h1 <= y0
    for node, (_, y, _, _) in drawing.boxes.items():
        for read in node.inputs:
            if read in drawing.boxes:
                assert drawing.boxes[read][1] + drawing.boxes[read][3] < y  # arrows lead down
    paths = [p for p in root.iter(f"{SVG}path") if p.get("marker-end")]
    drawn = set(drawing.boxes)
    assert len(paths) == len([read for node in drawn for read in node.inputs if read in drawn])
    assert len({path.get("d") for path in paths}) == len(paths)  # none lies on top of another
    assert len([g for g in root.iter(f"{SVG}g") if g.get("class") == "node"]) == len(boxes)
    return drawing


@settings(deadline=None, max_examples=40, database=None)
@given(program=steps(most=20))
def test_no_two_nodes_overlap(program):
    loss = loss_of(program, inputs_of(program))
    check(loss)
    check(gradient(loss))


def layer(x, w, b):
    return graph.softmax(graph.relu(graph.linear(x, w, b)) * 2)


SPECS = Spec((64, 784), "float32"), Spec((10, 784), "float32"), Spec((10,), "float32")


def test_what_stands_in_a_picture():
    drawing = check(trace(layer, *SPECS))
    texts = [t.text for t in ElementTree.fromstring(drawing.svg).iter(f"{SVG}text")]
    for words in ("x", "64 × 784, float32", "input", "linear", "64 × 10", "multiply (2)", "softmax"):
        assert words in texts
    assert any("MFLOP" in t and "KiB" in t for t in texts)
    assert "elementwise" in texts and "double frame: output" in texts


def test_a_notebook_shows_it():
    made = trace(layer, *SPECS)
    assert made._repr_svg_() == draw(made).svg == draw(made)._repr_svg_()


def test_it_can_be_read_aloud():
    drawing = draw(trace(layer, *SPECS), "One layer")
    root = ElementTree.fromstring(drawing.svg)
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == f"{title.get('id')} {desc.get('id')}"
    assert title.text == "One layer" and desc.text == drawing.alt == repr(drawing)
    assert "linear 3 of x, w, b: float32 64 × 10." in drawing.alt
    assert "softmax 7 of multiply 6: float32 64 × 10, an output." in drawing.alt
    assert "x, input: float32 64 × 784." in drawing.alt


def test_two_pictures_on_a_page_have_marks_of_their_own():
    first, second = draw(trace(layer, *SPECS)).svg, draw(trace(lambda x: x + 1, SPECS[0])).svg
    marks = [ElementTree.fromstring(svg).find(f".//{SVG}marker").get("id") for svg in (first, second)]
    assert marks[0] != marks[1]


def test_names_are_escaped():
    from coursekit.graph import Graph, Node

    node = Node("input", (), (Spec((2,), "float32"),), name='<&"')
    assert (
        '&lt;&amp;"'
        in ElementTree.tostring(ElementTree.fromstring(draw(Graph((node,), (node,))).svg)).decode()
    )


@pytest.mark.parametrize("name", graph.OPERATIONS)
def test_every_operation_has_a_kind(name):
    made = trace(lambda x: graph.exp(x), SPECS[0])
    node = made.outputs[0]
    from dataclasses import replace

    assert kind_of(replace(node, operation=name)) in KINDS


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    parts = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("kind", KINDS)
def test_letters_can_be_read_on_every_fill(kind):
    assert (luminance(KINDS[kind][0]) + 0.05) / (luminance("#111111") + 0.05) >= 7


def test_kinds_are_told_apart_without_colour():
    made = trace(lambda x, b: x + np.ones(10, "f") + b, Spec((4, 10), "float32"), Spec((10,), "float32"))
    svg = draw(made).svg
    assert svg.count('rx="27"') == 2 and svg.count("stroke-dasharray") == 1


def test_sweeps_undo_crossings():
    items = ["a", "b", "c", "C", "B", "A"]
    edges = [("a", "A"), ("b", "B"), ("c", "C")]
    found = lay_out(items, edges, dict.fromkeys(items, 40.0))
    below = {start: [end] for start, end in edges} | {end: [] for _, end in edges}
    assert crossings([items[:3], items[3:]], below) == 3
    assert crossings(found.layers, below) == 0
    for start, end in edges:
        assert found.centres[start] == pytest.approx(found.centres[end])


@settings(max_examples=50, database=None)
@given(wishes=st.lists(st.floats(-500, 500), min_size=1, max_size=8))
def test_places_keep_order_and_gaps_and_are_the_nearest(wishes):
    layer = list(range(len(wishes)))
    widths = {i: 20.0 + 7 * i for i in layer}
    found = spread(layer, wishes, widths)
    for a, b in pairwise(layer):
        assert found[b] - found[a] >= (widths[a] + widths[b]) / 2 + GAP - 1e-6
    cost = sum((found[i] - wishes[i]) ** 2 for i in layer)
    rng = np.random.default_rng(0)
    for _ in range(20):  # nobody finds better places nearby
        moved = {i: found[i] + rng.normal(0, 1) for i in layer}
        fits = all(moved[b] - moved[a] >= (widths[a] + widths[b]) / 2 + GAP for a, b in pairwise(layer))  # fmt: skip
        assert not fits or sum((moved[i] - wishes[i]) ** 2 for i in layer) >= cost - 1e-6


def test_a_node_that_reads_another_twice_has_two_arrows_from_it():
    drawing = check(trace(lambda x: x * x, SPECS[0]))
    paths = [
        p.get("d") for p in ElementTree.fromstring(drawing.svg).iter(f"{SVG}path") if p.get("marker-end")
    ]
    starts = sorted(float(d[1:].split()[0]) for d in paths)
    assert len(starts) == 2 and starts[1] - starts[0] >= 8
    for x, _, w, _ in drawing.boxes.values():
        assert x < starts[0] and starts[1] < x + w


def test_fused_nodes_say_what_is_in_them():
    made = optimise(trace(lambda x: graph.exp(x * 2) + 1, SPECS[0]))
    assert ">fused: multiply exp add</text>" in draw(made).svg


def test_nothing_at_all():
    check(trace(lambda: np.ones(3)))
