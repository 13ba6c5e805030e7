"""Predictions are real inputs, keep a default where nobody looks, and are compared in a sentence."""

import ipywidgets
import pytest

from coursekit.widgets import choose, look, predict


def test_a_slider_keeps_its_default_and_says_that_nobody_chose_it():
    slope = predict("Which power?", 0, 4, default=1)
    assert slope.value == 1 and not slope.is_chosen
    assert str(slope.compare(2.0)) == "The slider was left at 1; measured: 2 (2 times off)"


def test_a_chosen_value_is_the_learners():
    slope = predict("Which power?", 0, 4, default=1)
    slope.control.value = 2.0
    assert str(slope.compare(1.97)) == "You predicted 2; measured: 1.97 (as predicted)"


def test_zero_is_compared_by_difference():
    slope = predict("Which power?", 0, 4, default=0)
    assert "(0.5 off)" in str(slope.compare(0.5))


def test_a_log_slider_carries_its_unit():
    peak = predict("How fast?", 1, 1e4, default=100, unit="GFLOP/s", log=True)
    assert peak.value == pytest.approx(100)
    assert str(peak.compare(50.0)) == "The slider was left at 100 GFLOP/s; measured: 50 GFLOP/s (2 times off)"


def test_options():
    which = choose("Which is faster?", ["a", "b"])
    assert which.value == "a"
    assert str(which.compare("b", by="computed")) == "The choice was left at a; computed: b"
    which.control.value = "b"
    assert str(which.compare("b")) == "You predicted b; measured: b (as predicted)"
    assert str(which.compare("a")) == "You predicted b; measured: a"


def test_shows_a_widget_and_a_text_for_who_has_no_front_end():
    bundle = predict("Which <power>?", 0, 4, default=1)._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"] == "Your prediction. Which <power>? [1]"


@pytest.mark.parametrize("bounds", [(0, 4, 5), (1, 1, 1), (4, 0, 2)])
def test_a_range_that_is_none_is_refused(bounds):
    low, high, default = bounds
    with pytest.raises(ValueError, match="default must lie in the range"):
        predict("?", low, high, default=default)


def test_other_nonsense_is_refused():
    with pytest.raises(ValueError, match="positive low"):
        predict("?", 0, 1, default=0.5, log=True)
    with pytest.raises(ValueError, match="two or more"):
        choose("?", ["a"])
    with pytest.raises(ValueError, match="among them"):
        choose("?", ["a", "b"], default="c")


@pytest.mark.parametrize(
    "value, text",
    [(0.01234, "0.0123"), (999.4, "999"), (1024, "1,024"), (1234567.8, "1,234,568"), (3e9, "3e+09")],
)
def test_numbers_are_written_as_one_reads_them(value, text):
    assert repr(predict("How many?", 0, 1e10, default=value, unit="B")).endswith(f"[{text} B]")


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed, and what takes its place later."""
    shown = []

    class Handle:
        def update(self, bundle, raw):
            shown.append(bundle)

    def display(what, raw=False, display_id=None):
        shown.append(what)
        return Handle() if display_id else None

    monkeypatch.setattr("IPython.display.display", display)
    return shown


def test_a_picture_follows_its_controls(displayed):
    from matplotlib import pyplot as plt

    calls = []

    def draw(size, kind):
        calls.append((size, kind))
        return plt.figure(figsize=(size, 1))

    size, kind = (
        ipywidgets.IntSlider(2, 1, 5),
        ipywidgets.Dropdown(options=["a", "b"], description="the kind"),
    )
    look(draw, "Something that has a size.", size=size, kind=kind)
    box, picture = displayed
    assert box.children == (size, kind) and size.description == "size" and kind.description == "the kind"
    assert 'alt="Something that has a size."' in picture["text/html"] and calls == [(2, "a")]
    size.value, kind.value = 4, "b"
    assert calls == [(2, "a"), (4, "a"), (4, "b")] and len(displayed) == 4
    assert displayed[2]["text/html"] != picture["text/html"] and plt.get_fignums() == []


def test_a_picture_without_words_or_controls_is_refused(displayed):
    with pytest.raises(ValueError, match="at least one control"):
        look(lambda: None, "A picture of nothing at all.")
    from matplotlib.figure import Figure

    with pytest.raises(ValueError, match="alt must be a sentence"):
        look(lambda size: Figure(), "short", size=ipywidgets.IntSlider())
