"""The course's pictures: plain, small, readable in grey and by a screen reader.

Lines differ by dash and marker as well as by colour, and carry their names. Every figure needs `alt`, the sentence
that says what is to be seen; as JupyterLab and nbconvert give no alt attribute to PNG output, figures show as HTML.
"""

import base64
import io
import sys
from collections.abc import Iterable, Mapping
from html import escape

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

DPI = 100
SIZE = (6.4, 4.0)
COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
MARKERS = "osD^vPX"
COLUMNS = {
    "accuracy": "accuracy", "precision": "macro precision", "recall": "macro recall", "f1": "macro F1",
    "params": "parameters", "bytes_on_disk": "bytes on disk", "p50_s": "median latency, batch of one",
    "p99_s": "99th percentile of latency, batch of one", "flops": "FLOPs for one example",
}  # fmt: skip


class Picture(Figure):
    """A matplotlib Figure with `alt`, its description; in a notebook it shows itself as an <img> with it."""

    def __init__(self, alt: str, size: tuple[float, float] = SIZE):
        self.alt = _checked(alt)
        super().__init__(figsize=size, dpi=DPI, layout="constrained")
        FigureCanvasAgg(self)

    def _repr_html_(self) -> str:
        return image_html(self, self.alt)


def show(fig: Figure, alt: str | None = None) -> None:
    """Display any figure in a notebook as an image with `alt`, by default its own, and close it.

    Raises ValueError where alt is less than a sentence.
    """
    from IPython.display import display

    alt = _checked(alt if alt is not None else getattr(fig, "alt", None))
    display({"text/html": image_html(fig, alt), "text/plain": alt}, raw=True)
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(fig)


def image_html(fig: Figure, alt: str) -> str:
    """`fig` as an HTML image that carries its own data and `alt`. Raises ValueError as `show` does."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{escape(_checked(alt), quote=True)}" src="data:image/png;base64,{data}">'


def loglog(
    trends: Mapping[str, object],
    *,
    alt: str,
    title: str = "",
    xlabel: str = "size n",
    ylabel: str = "time per call (s)",
) -> Picture:
    """Time against size, with quartiles, and each line's name and slope at its end.

    trends: name -> Trend. Raises ValueError for no trends.
    """
    _need("trends", trends)
    fig, axes = _axes(alt, title, xlabel, ylabel)
    axes.set(xscale="log", yscale="log")
    axes.yaxis.set_major_formatter(EngFormatter(unit="s"))
    ends = []
    for i, (name, trend) in enumerate(trends.items()):
        axes.plot(trend.sizes, trend.medians, label=name, **_style(i))
        axes.fill_between(trend.sizes, trend.lows, trend.highs, color=COLOURS[i % 7], alpha=0.15, lw=0)
        ends.append((trend.sizes[-1], trend.medians[-1], f"{name}: slope {trend.slope:.2f}", COLOURS[i % 7]))
    _label_ends(axes, ends)
    return fig


def roofline(
    ceilings,
    points: Mapping[str, tuple[float, float]] | None = None,
    *,
    alt: str,
    threads: str = "one",
    title: str = "",
) -> Picture:
    """The roofline of this machine (Williams, Waterman, Patterson 2009), and kernels under it.

    ceilings: from `coursekit.measure.ceilings`; points: name -> (FLOP per byte, FLOP/s).
    """
    points = points or {}
    intensities = [intensity for intensity, _ in points.values() if intensity > 0]
    ridges = [ceilings.ridge(level, threads) for level in ceilings.levels]
    x = np.geomspace(min(*intensities, *ridges, 0.1) / 2, 4 * max(*intensities, *ridges, 10), 200)
    fig, axes = _axes(alt, title, "arithmetic intensity (FLOP per byte)", "FLOP/s")
    axes.set(xscale="log", yscale="log")
    for i, level in enumerate(ceilings.levels):
        axes.plot(x, ceilings.attainable(x, level, threads), color="0.35", lw=1.4, ls=DASHES[i % 7])
        start = x[0] * ceilings.bandwidth(level, threads)
        axes.annotate(
            level, (x[0], start), (-4, 0), textcoords="offset points", ha="right", va="center", fontsize=8
        )
    peak = ceilings.peak(threads)
    axes.annotate("float32 peak", (x[-1], peak), (0, 4), textcoords="offset points", ha="right", fontsize=8)
    for i, (intensity, rate) in enumerate(points.values()):
        axes.plot(intensity, rate, MARKERS[i % 7], color=COLOURS[i % 7], ms=7)
    axes.margins(y=0.12)
    axes.set_xlim(left=x[0] / 2.5)  # room for the names of the levels
    _label_points(axes, [(*at, name, "normal") for name, at in points.items()])
    axes.yaxis.set_major_formatter(EngFormatter(unit="FLOP/s", places=0))
    axes.set_ylabel("")
    return fig


def pareto(rows: Iterable, x: str = "p50_s", y: str = "accuracy", *, alt: str, title: str = "") -> Picture:
    """Models by cost and quality, 95 % intervals where there are any, and the front that none beats drawn through.

    rows: a Ledger or rows of one; x, y: names of columns. Raises ValueError for unknown columns or no rows.
    """
    from coursekit.measure.ledger import pareto_front, value

    rows = [row for row in rows if value(row, x) is not None and value(row, y) is not None]
    _need("rows", rows)
    front = pareto_front(rows, x, y)
    fig, axes = _axes(alt, title, COLUMNS[x], COLUMNS[y])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(unit="s" if x in ("p50_s", "p99_s") else ""))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    on_front = sorted(
        (row for row in rows if row.name in front), key=lambda row: (value(row, x), value(row, y))
    )
    axes.plot(
        [value(r, x) for r in on_front],
        [value(r, y) for r in on_front],
        "-",
        color="0.5",
        drawstyle="steps-post",
    )
    labels = []
    for i, row in enumerate(rows):
        at = value(row, x), value(row, y)
        best = row.name in front
        axes.errorbar(*at, yerr=_reach(getattr(row, y)), fmt=MARKERS[i % 7], color=COLOURS[i % 7], ms=7, capsize=3,
                      elinewidth=1, mfc=COLOURS[i % 7] if best else "white")  # fmt: skip
        labels.append((*at, row.name, "bold" if best else "normal"))
    axes.margins(x=0.15, y=0.15)
    _label_points(axes, labels)
    return fig


def bars(values: Mapping[str, object], *, alt: str, xlabel: str, title: str = "") -> Picture:
    """Horizontal bars from zero with their values; an interval, where a value has one, is drawn on the bar.

    values: name -> a number, (value, low, high), or anything with value or median, low and high (Estimate, Timing).
    """
    _need("values", values)
    fig, axes = _axes(alt, title, xlabel, "", rows=len(values))
    for i, given in enumerate(values.values()):
        middle, low, high = _interval(given)
        axes.barh(i, middle, color="0.75", edgecolor="black", hatch=("", "//", "..", "xx")[i % 4], height=0.6)
        if low < high:
            axes.errorbar(middle, i, xerr=[[middle - low], [high - middle]], color="black", capsize=3)
        axes.annotate(
            f"{middle:.3g}",
            (max(middle, high), i),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    _name_rows(axes, values)
    axes.margins(x=0.12)
    return fig


def intervals(
    values: Mapping[str, object], *, alt: str, xlabel: str, reference: float | None = None, title: str = ""
) -> Picture:
    """Values with their intervals, one below the other, and a dashed line at `reference` (1 for ratios).

    values: name -> as in `bars`, for instance the Ratios of a Comparison.
    """
    _need("values", values)
    fig, axes = _axes(alt, title, xlabel, "", rows=len(values))
    for i, given in enumerate(values.values()):
        middle, low, high = _interval(given)
        low, high = (end if np.isfinite(end) else middle for end in (low, high))
        axes.errorbar(middle, i, xerr=[[middle - low], [high - middle]], fmt="o", color="black", capsize=4)
        axes.annotate(
            f"{middle:.3g}", (middle, i), (0, 7), textcoords="offset points", ha="center", fontsize=8
        )
    if reference is not None:
        axes.axvline(reference, color="0.4", ls="--", lw=1)
    _name_rows(axes, values)
    axes.margins(x=0.1, y=0.25)
    return fig


def _axes(alt, title, xlabel, ylabel, rows: int | None = None):
    fig = Picture(alt, SIZE if rows is None else (SIZE[0], 1.1 + 0.42 * rows))
    axes = fig.add_subplot()
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    axes.grid(color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return fig, axes


def _style(i: int) -> dict:
    return {"color": COLOURS[i % 7], "ls": DASHES[i % 7], "marker": MARKERS[i % 7], "ms": 5, "lw": 1.6}


def _label_ends(axes, ends: list[tuple[float, float, str, str]]) -> None:
    """Write each label right of its line's end, pushed up where it would cover the one below."""
    axes.figure.canvas.draw()
    lowest = -np.inf
    for x, y, text, colour in sorted(ends, key=lambda end: end[1]):
        _, at = axes.transData.transform((x, y))
        lowest = max(at, lowest + 13)
        shift = (lowest - at) * 72 / DPI
        axes.annotate(
            text, (x, y), (8, shift), textcoords="offset points", va="center", fontsize=8, color=colour
        )


def _label_points(axes, labels: list[tuple[float, float, str, str]]) -> None:
    """Write each name (x, y, text, weight) right below its point, moved down where it would cover another."""
    axes.figure.canvas.draw()
    high, wide = 13, 6  # pixels that a line and a character take at this size
    taken = []
    for x, y, text, weight in sorted(labels, key=lambda label: -label[1]):
        left, point = axes.transData.transform((x, y))
        right, line = left + wide * len(text), point - high
        while any(abs(line - other) < high and left < r and l < right for l, r, other in taken):
            line -= high / 2
        taken.append((left, right, line))
        shift = (line - point) * 72 / DPI
        axes.annotate(
            text, (x, y), (7, shift), textcoords="offset points", va="center", fontsize=8, weight=weight
        )


def _name_rows(axes, values: Mapping) -> None:
    axes.set_yticks(range(len(values)), list(values))
    axes.invert_yaxis()


def _interval(given) -> tuple[float, float, float]:
    if hasattr(given, "low"):
        middle = given.value if hasattr(given, "value") else given.median
        return float(middle), float(given.low), float(given.high)
    if isinstance(given, (tuple, list)):
        middle, low, high = map(float, given)
        return middle, low, high
    return float(given), float(given), float(given)


def _reach(estimate):
    if not hasattr(estimate, "low"):
        return None
    return [[estimate.value - estimate.low], [estimate.high - estimate.value]]


def _need(name: str, values) -> None:
    if not values:
        raise ValueError(f"{name} is empty: there is nothing to draw")


def _checked(alt) -> str:
    words = alt.split() if isinstance(alt, str) else []
    if len(words) < 4:
        raise ValueError(f"alt must be a sentence that says what the picture shows, got {alt!r}")
    return alt
