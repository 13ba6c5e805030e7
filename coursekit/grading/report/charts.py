"""The plots of a class: SVG drawn by matplotlib, to stand inside a page and take its colours and fonts.

Shares differ by hatching and are named in words, so they can be read in grey; each plot has a title and a
description for a screen reader.
"""

import io
import math
import re
import warnings
import zlib
from collections import Counter
from collections.abc import Sequence
from statistics import median
from xml.etree import ElementTree

import matplotlib
import matplotlib.text
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from coursekit.grading.report.overview import Solved
from coursekit.grading.report.text import visible
from coursekit.plots import Picture

WIDTH = 4.4  # inches; drawn at this width, 8 pt can still be read on a phone
MOST_BARS = 20
LOOKS = (
    ("0.45", ""),
    ("0.95", "////"),
    ("0.75", ""),
    ("1", "\\\\\\\\"),
    ("0.9", "xxx"),
    ("1", ""),
)  # face, hatch
REST = "other reasons"
SETTINGS = {"svg.fonttype": "none", "svg.hashsalt": "coursekit", "hatch.linewidth": 0.6}


def points_chart(points: Sequence[float], possible: int, ungraded: int = 0, *, name: str) -> str:
    """How many learners earned how many points in an exercise, each drawn at the nearest whole number.

    `ungraded` ones stand apart, at zero.
    """
    width = max(1, -(-(possible + 1) // MOST_BARS))  # points in a bar
    counts = [0] * (possible // width + 1)
    for value in points:
        counts[min(max(math.floor(value + 0.5) // width, 0), len(counts) - 1)] += 1
    said = f"{len(points)} graded"
    if points:
        said += (
            f", from {min(points):g} to {max(points):g} of {possible} points, the median {median(points):g}"
        )
    if ungraded:
        said += f"; {ungraded} not graded"
    figure = Picture(f"How many learners earned how many points: {said}.", (WIDTH, 2.2))
    axes = _axes(figure)
    places = range(len(counts))
    axes.bar(places, counts, color="0.45", edgecolor="black", lw=0.6, width=0.9, label="graded")
    if ungraded:
        axes.bar(0, ungraded, bottom=counts[0], color="1", edgecolor="black", lw=0.6, hatch="////", width=0.9,
                 label="not graded")  # fmt: skip
        axes.legend(frameon=False, fontsize=8, loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    step = -(-len(counts) // 11)
    axes.set_xticks(places[::step], [_range(i * width, width, possible) for i in places[::step]])
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    axes.set(xlabel="points", ylabel="learners", xlim=(-0.7, len(counts) - 0.3))
    axes.grid(axis="y", color="0.85", lw=0.6)
    return svg(figure, f"{name}: points")


def tasks_chart(tasks: Sequence[Solved], *, name: str) -> str:
    """For each task, the hardest on top, the share of the class that solved it and what became of the others.

    Raises ValueError where there is no task to draw.
    """
    if not tasks:
        raise ValueError("tasks is empty: there is nothing to draw")
    tasks = sorted(tasks, key=lambda task: task.full / task.total)
    parts = ["all points", *_named([dict(task.others) for task in tasks])]
    said = "; ".join(
        f"{task.title}: {task.percent} % of {task.total} solved it" + (f", {task.why}" if task.why else "")
        for task in tasks
    )
    figure = Picture(
        f"The share of the class that solved each task. {said}.", (WIDTH, 0.8 + 0.5 * len(tasks))
    )
    axes = _axes(figure)
    for row, task in enumerate(tasks):
        _bar(axes, row, task, parts)
    patches = [
        Patch(facecolor=colour, hatch=hatch, edgecolor="black", lw=0.6, label=_short(part, 18))
        for part, (colour, hatch) in zip(parts, LOOKS, strict=False)
    ]
    axes.legend(
        handles=patches, frameon=False, fontsize=8, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1)
    )
    axes.set(xlim=(0, 100), ylim=(len(tasks) - 0.5, -0.6), yticks=[], xlabel="% of those graded")
    axes.spines["left"].set_visible(False)
    return svg(figure, f"{name}: tasks, the hardest first")


def svg(figure: Picture, title: str) -> str:
    """The figure as an <svg> element: no size, fonts or background of its own, its ``alt`` as description."""
    for text in figure.findobj(matplotlib.text.Text):
        text.set_parse_math(False)
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)  # the reader's browser has it
        figure.savefig(buffer, format="svg", metadata=nothing, transparent=True)
    return _inline(ElementTree.fromstring(buffer.getvalue()), title, figure.alt)


def _inline(root: ElementTree.Element, title: str, description: str) -> str:
    """matplotlib's document as an element of a page that holds others: ids of its own, no namespaces."""
    names = {"title": visible(title), "desc": visible(description)}
    prefix = f"p{zlib.crc32(names['title'].encode()):08x}-"
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        own = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
        if element.tag == "g":
            own.pop("id", None)  # nothing refers to a group
        element.attrib = {key: _apart(key, value, prefix) for key, value in own.items()}
    for defs in root.findall("defs"):
        if defs.find("style") is not None:
            root.remove(defs)  # it would style the whole page
    for place, (tag, words) in enumerate(names.items()):
        child = ElementTree.Element(tag, {"id": prefix + tag})
        child.text = words
        root.insert(place, child)
    labels = " ".join(prefix + tag for tag in names)
    kept = {"viewBox": root.attrib["viewBox"], "class": "plot", "role": "img", "aria-labelledby": labels}
    root.attrib = kept
    return ElementTree.tostring(root, encoding="unicode")


def _apart(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return prefix + value
    if key == "href":
        return value.replace("#", f"#{prefix}", 1)
    return re.sub(r"font-family: [^;]*;? ?", "", value.replace("url(#", f"url(#{prefix}"))


def _axes(figure: Picture) -> Axes:
    axes = figure.add_subplot()
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    axes.xaxis.label.set_size(8)
    axes.yaxis.label.set_size(8)
    return axes


def _bar(axes: Axes, row: int, task: Solved, parts: Sequence[str]) -> None:
    """One task: its title, its share in figures, and a bar of the parts that its submissions fall into."""
    counts = dict(task.others)
    counts = {part: counts.get(part, 0) for part in parts}
    counts[parts[0]] = task.full
    if REST in counts:
        counts[REST] = task.total - sum(n for part, n in counts.items() if part != REST)
    left = 0.0
    for n, (colour, hatch) in zip(counts.values(), LOOKS, strict=False):
        share = 100 * n / task.total
        axes.barh(
            row + 0.12, share, left=left, height=0.4, color=colour, hatch=hatch, edgecolor="black", lw=0.6
        )
        left += share
    axes.text(0, row - 0.14, _short(task.title, 46), va="bottom", fontsize=8)
    axes.text(100, row - 0.14, f"{task.full} of {task.total}", va="bottom", ha="right", fontsize=8)


def _short(text: str, width: int) -> str:
    words = " ".join(visible(text).split())
    return words if len(words) <= width else words[: width - 1].rstrip() + "…"


def _named(counts: Sequence[dict[str, int]]) -> list[str]:
    """The statuses that get a look of their own, the commonest first, and a last one for all the others."""
    totals = Counter()
    for own in counts:
        totals.update(own)
    named = [status for status, _ in totals.most_common()]
    room = len(LOOKS) - 1
    return named if len(named) <= room else [*named[: room - 1], REST]


def _range(low: int, width: int, possible: int) -> str:
    high = min(low + width - 1, possible)
    return str(low) if low == high else f"{low}–{high}"
