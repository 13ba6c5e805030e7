import base64
import io
import re
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from coursekit import plots
from coursekit.measure import Estimate, Ledger, Ratio, Timing, Trend, quality
from coursekit.measure.roofline import assemble
from tests.measure.known import MACHINE, RATES, SETS

ALT = 'Two lines rise, one "twice" as steeply as the other.'
SIZES = np.array([64, 128, 256])


@pytest.fixture
def ledger(tmp_path):
    book = Ledger(tmp_path / "ledger.json")
    for name, wrong, p50 in (("mlp", 10, 1e-3), ("cnn", 2, 3e-3), ("worse", 20, 4e-3)):
        q = quality([0, 1] * 50, [1, 0] * (wrong // 2) + [0, 1] * (50 - wrong // 2))
        book.add(name, quality=q, params=10, bytes_on_disk=100, p50_s=p50, p99_s=2 * p50, flops=None)
    return book


def pictures(ledger):
    trends = {
        f"n^{p}": Trend(SIZES, 1e-9 * SIZES**p, 0.9e-9 * SIZES**p, 2e-9 * SIZES**p) for p in (1, 2, 2.01)
    }
    values = {"a": 3.0, "b": (2.0, 1.5, 2.5), "c": Estimate(1.0, 0.5, 1.5), "d": Timing("d", np.ones(9), 1)}
    ceilings = assemble(MACHINE, RATES, SETS, 1.0)
    return {
        "loglog": plots.loglog(trends, alt=ALT),
        "roofline": plots.roofline(ceilings, {"mm": (100, 8e10), "gelu": (0.5, 5e9)}, alt=ALT),
        "pareto": plots.pareto(ledger, alt=ALT),
        "bars": plots.bars(values, alt=ALT, xlabel="ms"),
        "intervals": plots.intervals(
            {"r": Ratio("a", "b", 1.9, 1.8, 2.0)} | values, alt=ALT, xlabel="x", reference=1
        ),
    }


def words(figure):
    axes = figure.axes[0]
    labels = [text.get_text() for text in axes.texts] + [tick.get_text() for tick in axes.get_yticklabels()]
    return " ".join([*labels, axes.get_xlabel(), axes.get_ylabel()])


def test_each_picture_is_a_small_image_that_is_not_empty(ledger):
    for name, figure in pictures(ledger).items():
        found = re.fullmatch(r'<img alt="(.*?)" src="data:image/png;base64,(.*)">', figure._repr_html_())
        assert found, name
        png = base64.b64decode(found[2])
        assert len(png) < 60_000, name
        grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
        assert (grey < 100).mean() > 0.003, name
        assert found[1] == "Two lines rise, one &quot;twice&quot; as steeply as the other."


def test_labels_stand_at_what_they_name(ledger):
    drawn = pictures(ledger)
    assert "n^2: slope 2.00" in words(drawn["loglog"])
    assert all(
        word in words(drawn["roofline"]) for word in ("L1", "DRAM", "float32 peak", "mm", "FLOP per byte")
    )
    assert all(word in words(drawn["pareto"]) for word in ("mlp", "cnn", "accuracy", "latency"))
    assert all(word in words(drawn["bars"]) for word in ("a", "b", "2", "ms"))


def test_lines_differ_without_colour(ledger):
    lines = pictures(ledger)["loglog"].axes[0].lines
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == len(lines)


def test_labels_of_neighbouring_lines_do_not_cover_each_other(ledger):
    figure = pictures(ledger)["loglog"]
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_the_roof_has_its_corner_at_the_ridge():
    ceilings = assemble(MACHINE, RATES, SETS, 1.0)
    roofs = plots.roofline(ceilings, alt=ALT).axes[0].lines
    for line, level in zip(roofs, ceilings.levels, strict=True):
        x, y = line.get_data()
        flat = x > ceilings.ridge(level)
        assert np.allclose(y[flat], ceilings.peak())
        assert np.allclose(y[~flat], x[~flat] * ceilings.bandwidth(level))


def test_the_front_goes_through_the_rows_that_nothing_beats(ledger):
    figure = plots.pareto(list(ledger), alt=ALT)
    x, y = figure.axes[0].lines[0].get_data()
    assert list(x) == [1e-3, 3e-3]
    assert list(y) == [0.9, 0.98]


def test_alt_is_asked_for():
    with pytest.raises(TypeError):
        plots.bars({"a": 1}, xlabel="x")
    for alt in ("", "plot", "a plot", None):
        with pytest.raises(ValueError, match="sentence"):
            plots.bars({"a": 1}, xlabel="x", alt=alt)


def test_nothing_to_draw_is_refused(ledger):
    for draw in (plots.loglog, plots.pareto):
        with pytest.raises(ValueError, match="empty"):
            draw({} if draw is plots.loglog else [], alt=ALT)
    with pytest.raises(ValueError, match="empty"):
        plots.bars({}, alt=ALT, xlabel="x")
    with pytest.raises(ValueError, match="empty"):
        plots.pareto(ledger, "flops", alt=ALT)


def test_show_displays_html_and_closes_the_figure(monkeypatch, capsys):
    import matplotlib.pyplot as plt

    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    figure, _ = plt.subplots()
    with pytest.raises(ValueError, match="sentence"):
        plots.show(figure)
    plots.show(figure, ALT)
    assert set(shown[0]) == {"text/html", "text/plain"}
    assert shown[0]["text/plain"] == ALT
    assert figure.number not in plt.get_fignums()
    plots.show(plots.bars({"a": 1}, alt=ALT, xlabel="x"))
    assert 'alt="Two lines' in shown[1]["text/html"]


def test_no_display_and_no_backend_are_needed():
    program = (
        "from coursekit import plots; import sys\n"
        "plots.bars({'a': 1.0}, alt='One bar of length one.', xlabel='x')._repr_html_()\n"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    environment = {"PATH": "", "MPLBACKEND": "tkagg", "HOME": "/tmp"}
    assert subprocess.run([sys.executable, "-c", program], env=environment, check=False).returncode == 0


def test_the_rendered_page_has_the_alt_attribute():
    import nbformat
    from nbconvert import HTMLExporter

    html = plots.bars({"a": 1}, alt=ALT, xlabel="x")._repr_html_()
    output = nbformat.v4.new_output("display_data", {"text/html": html, "text/plain": ALT})
    cell = nbformat.v4.new_code_cell("show(fig)", outputs=[output])
    page, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    found = []
    parser = HTMLParser()
    parser.handle_startendtag = lambda tag, attributes: found.append((tag, dict(attributes)))
    parser.handle_starttag = parser.handle_startendtag
    parser.feed(page)
    assert [attributes["alt"] for tag, attributes in found if tag == "img"] == [ALT]
