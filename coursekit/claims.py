"""The claims that the course puts to the test, and the verdicts its lessons reach.

``claims.toml`` beside this file holds the statements. A lesson shows one with :func:`show` and, once it
has measured, says with :func:`verdict` what became of it on the machine at hand.
"""

import html
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

OUTCOMES = ("holds", "holds within limits", "false", "open")


@dataclass(frozen=True)
class Claim:
    """A statement, and the numbers of the lessons that test it."""

    id: str
    text: str
    lessons: tuple[int, ...]

    def __repr__(self) -> str:
        return f"Claim {self.id}: {self.text}"

    def _repr_html_(self) -> str:
        return _box(f"<b>Claim {self.id}</b> {_emphasised(self.text)}", "dashed")


@dataclass(frozen=True)
class Verdict:
    """What became of a claim on this machine, and the measurement that decided it."""

    claim: Claim
    outcome: str
    because: str

    def __repr__(self) -> str:
        return f"Claim {self.claim.id} {_phrase(self.outcome)}: {self.because}"

    def _repr_html_(self) -> str:
        head = f"<b>Claim {self.claim.id} {_phrase(self.outcome)}</b>"
        return _box(f"{head}<br>{_emphasised(self.because)}", "solid")


@cache
def load() -> dict[str, Claim]:
    """All claims by id."""
    with files("coursekit").joinpath("claims.toml").open("rb") as file:
        data = tomllib.load(file)
    return {key: Claim(key, entry["text"], tuple(entry["lessons"])) for key, entry in data.items()}


def show(claim_id: str) -> Claim:
    """The claim, for display. Raises ValueError for an unknown id."""
    if claim_id not in load():
        raise ValueError(f"there is no claim {claim_id!r}; they are C01 to C{len(load()):02d}")
    return load()[claim_id]


def verdict(claim_id: str, outcome: str, because: str) -> Verdict:
    """The verdict on a claim: `outcome` is one of OUTCOMES, `because` the measurement in a sentence.

    Raises ValueError for an unknown claim or outcome, or where nothing is said.
    """
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome must be one of {', '.join(OUTCOMES)}; got {outcome!r}")
    if not because.strip():
        raise ValueError("because must say what was measured; got nothing")
    return Verdict(show(claim_id), outcome, because)


def _phrase(outcome: str) -> str:
    return {"false": "is false", "open": "stays open"}.get(outcome, outcome)


def _emphasised(text: str) -> str:
    """The text as HTML, with *words* between asterisks in italics; an asterisk with a blank beside it is a product."""
    return re.sub(r"(?<!\w)\*(\S(?:[^*]*\S)?)\*(?!\w)", r"<em>\1</em>", html.escape(text))


def _box(content: str, border: str) -> str:
    return f'<div style="border: 1px {border} #888; padding: 6px 12px; max-width: 44em">{content}</div>'
