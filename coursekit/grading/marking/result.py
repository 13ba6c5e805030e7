"""What marking says: a :class:`Mark` a task, a :class:`Result` a notebook."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Mark:
    """What a task earned, and why in a sentence. Points are whole: a task is right or it is not."""

    task: str
    title: str
    points: int
    possible: int
    status: str  # right, wrong, empty, missing, refused, error, waiting, or one of kernels.kernel.GONE
    message: str
    cases_right: int = 0
    cases: int = 0
    feedback: str = ""  # what the visible check printed in the learner's own kernel
    hint: str = ""  # the hint of the key that it gave: the wrong answer was recognised
    source: str = ""  # the answer itself


@dataclass(frozen=True)
class Result:
    """What a submission earned. ``status`` is 'graded', or says why it was not."""

    exercise: str
    status: str
    message: str = ""
    marks: tuple[Mark, ...] = ()
    notes: tuple[str, ...] = ()
    possible: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def points(self) -> int:
        return sum(mark.points for mark in self.marks)

    @property
    def is_full(self) -> bool:
        return self.status == "graded" and self.points == self.possible
