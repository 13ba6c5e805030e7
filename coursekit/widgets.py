"""Predictions, which the learner commits to before the lesson measures, and pictures that follow sliders.

All are real input widgets. Without a front end (a test, a stored page) they keep their default: the comparison says
that nobody chose it, and the picture is that of the default.
"""

import html
import math
import sys
from collections.abc import Callable

import ipywidgets


class Prediction:
    """A question with an input; :attr:`value` is what the learner predicts."""

    def __init__(self, question: str, control: ipywidgets.ValueWidget, unit: str = "") -> None:
        self.question, self.control, self.unit = question, control, unit
        self._default = control.value

    @property
    def value(self):
        return self.control.value

    @property
    def is_chosen(self) -> bool:
        """Whether the learner moved it."""
        return self.control.value != self._default

    def compare(self, outcome, by: str = "measured") -> "Comparison":
        """The prediction beside what came out, a number or one of the options; `by` says how it was found."""
        return Comparison(self, outcome, by)

    def _repr_mimebundle_(self, **kwargs) -> dict:
        label = ipywidgets.HTML(f"<b>Your prediction.</b> {html.escape(self.question)}")
        box = ipywidgets.VBox([label, self.control])
        bundle = box._repr_mimebundle_(**kwargs)
        return bundle | {"text/plain": repr(self)}

    def __repr__(self) -> str:
        return f"Your prediction. {self.question} [{_show(self.value, self.unit)}]"


class Comparison:
    """A prediction and what came out, in a sentence."""

    def __init__(self, prediction: Prediction, outcome, by: str) -> None:
        self.prediction, self.outcome, self.by = prediction, outcome, by

    def __repr__(self) -> str:
        unit, guess = self.prediction.unit, self.prediction.value
        left = "The choice was left at" if isinstance(guess, str) else "The slider was left at"
        who = "You predicted" if self.prediction.is_chosen else left
        return f"{who} {_show(guess, unit)}; {self.by}: {_show(self.outcome, unit)}{self._gap()}"

    def _gap(self) -> str:
        guess, got = self.prediction.value, self.outcome
        if isinstance(guess, str):
            return " (as predicted)" if guess == got else ""
        if guess > 0 and got > 0:
            factor = max(guess / got, got / guess)
            return " (as predicted)" if factor < 1.1 else f" ({_in_digits(factor)} times off)"
        return f" ({_in_digits(abs(guess - got))} off)"

    def _repr_html_(self) -> str:
        return f'<div style="border-left: 4px double #888; padding: 2px 10px">{html.escape(repr(self))}</div>'


def predict(
    question: str, low: float, high: float, *, default: float, unit: str = "", log: bool = False
) -> Prediction:
    """A slider from `low` to `high`; with `log` its steps are factors.

    Raises ValueError where the range is empty, the default lies outside it, or a log range is not positive.
    """
    if not low <= default <= high or low == high:
        raise ValueError(f"default must lie in the range; got {default} and {low} to {high}")
    if log and low <= 0:
        raise ValueError(f"a log slider needs a positive low; got {low}")
    style = {"description_width": "initial"}
    readout = ",.4r" if high >= 1000 else ".3g"  # 1,024 in full, and no exponent
    layout = ipywidgets.Layout(width="32em")
    if log:
        control = ipywidgets.FloatLogSlider(
            value=default,
            base=10,
            min=math.log10(low),
            max=math.log10(high),
            step=0.05,
            description=unit,
            readout_format=readout,
            style=style,
            layout=layout,
        )
    else:
        control = ipywidgets.FloatSlider(
            value=default,
            min=low,
            max=high,
            step=(high - low) / 100,
            description=unit,
            readout_format=readout,
            style=style,
            layout=layout,
        )
    return Prediction(question, control, unit)


def choose(question: str, options: list[str], *, default: str | None = None) -> Prediction:
    """One of several answers. Raises ValueError where there are fewer than two, or the default is none of them."""
    if len(options) < 2 or (default is not None and default not in options):
        raise ValueError(
            f"options must be two or more, with the default among them; got {options} and {default!r}"
        )
    control = ipywidgets.RadioButtons(
        options=options, value=default or options[0], layout=ipywidgets.Layout(width="max-content")
    )
    return Prediction(question, control)


def look(draw: Callable, alt: str, **controls: ipywidgets.ValueWidget) -> None:
    """Show the picture ``draw(name=value, ...)`` under its controls, and draw it anew whenever one of them is moved.

    The picture is an output of the cell: it stands in the stored notebook, too, for who has no kernel.

    Args:
        draw: returns a matplotlib figure; its arguments have the names of the controls.
        alt: what the picture shows, for who does not see it.

    Raises ValueError where alt is less than a sentence, or there is no control.
    """
    from IPython.display import display

    if not controls:
        raise ValueError("look needs at least one control, such as size=ipywidgets.IntSlider(3, 1, 9)")

    def picture() -> dict:
        return _html_of(draw(**{name: control.value for name, control in controls.items()}), alt)

    for name, control in controls.items():
        control.description = control.description or name
        control.observe(lambda change: handle.update(picture(), raw=True), "value")
    display(ipywidgets.VBox(list(controls.values())))
    handle = display(picture(), raw=True, display_id=True)


def _html_of(figure, alt: str) -> dict:
    """A figure as an output, and closed."""
    from coursekit.plots import image_html

    bundle = {"text/html": image_html(figure, alt), "text/plain": alt}
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
    return bundle


def _show(value, unit: str) -> str:
    return f"{_in_digits(value) if isinstance(value, int | float) else value} {unit}".strip()


def _in_digits(value: float) -> str:
    """Three digits, or all before the point, up to millions: 0.0123, 1.5, 1,024."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.3g}"
