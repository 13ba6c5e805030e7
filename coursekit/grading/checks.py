"""The visible check: at once, in the notebook, what differs and the hint for a mistake it recognises.

It helps; it does not mark. A check cell reads::

    with Check("slope") as check:
        check(slope, [1, 2, 4], [3, 6, 12], want=1.0)
        check(slope, [1, 10], [5, 500], want=2.0, hints={"Divide by the logarithm of x too.": 4.6})
"""

import contextlib
import copy
import html
import signal
import sys
import threading
import traceback

from coursekit.grading.calls import call_text
from coursekit.grading.compare import Raised, decode, difference
from coursekit.grading.judge import encode, raised

LIMIT_S = 5
COMPILING_LIMIT_S = 30
"""Where Numba is loaded, whose functions compile when they are first called."""
STOPPED = "it is too slow for this input, or has a loop that does not end"


class Check:
    """Calls the answer on visible cases, and on leaving shows the verdict.

    Stops calling after the first case that differs. Never raises for a wrong answer: the notebook
    runs on, as a learner who is halfway through wants it to.
    """

    def __init__(self, task: str, *, rtol: float = 1e-6, atol: float = 1e-9) -> None:
        self.task, self.rtol, self.atol = task, rtol, atol
        self.right = 0
        self.problem: str | None = None
        self.hint: str | None = None

    def __enter__(self) -> "Check":
        return self

    def __exit__(self, kind, error, trace) -> None:
        from IPython.display import display

        if kind is None:
            display(self)

    def __call__(self, function, *args, want=None, raises=None, hints=None, **kwargs) -> None:
        """One case: ``function(*args, **kwargs)`` must return `want`, or raise `raises`.

        `hints` maps the words of a hint to the value that the mistake returns for these arguments (an
        exception type where it raises).
        """
        if self.problem is not None:
            return
        call = call_text(function, args, kwargs)
        wanted = Raised(raises.__name__) if raises else decode(encode(want))
        try:
            with _time_limit():
                value = function(*copy.deepcopy(args), **copy.deepcopy(kwargs))
        except Exception as error:
            value, text = decode(raised(error)), f"{type(error).__name__}: {error}{_line(error, self.task)}"
            found = difference(value, wanted, rtol=self.rtol, atol=self.atol)
            if found and not raises:
                found = text
        else:
            if value is None and raises:
                self.problem = f"{call}: returned None, wanted {wanted} to be raised; not written yet?"
                return
            if value is None and want is not None:
                self.problem = f"{call}: it returns None; not written yet, or is a return missing?"
                return
            value, found = self._compare(value, wanted)
        if found:
            self.problem = f"{call}: {found}"
            self.hint = self._recognise(value, hints or {})
        else:
            self.right += 1

    def _compare(self, value: object, wanted: object) -> tuple[object, str | None]:
        try:
            value = decode(encode(value))
        except ValueError as error:
            return None, str(error)
        return value, difference(value, wanted, rtol=self.rtol, atol=self.atol)

    def _recognise(self, value: object, hints: dict) -> str | None:
        for hint, typical in hints.items():
            if isinstance(typical, type) and issubclass(typical, Exception):
                typical = Raised(typical.__name__)
            else:
                typical = decode(encode(typical))
            if difference(value, typical, rtol=1e-3, atol=1e-6) is None:
                return hint
        return None

    def __repr__(self) -> str:
        if self.problem is None:
            return f"{self.task}: right, {self.right} of {self.right} cases"
        hint = f"\n  Hint: {self.hint}" if self.hint else ""
        return f"{self.task}: not yet\n  {self.problem}{hint}"

    def _repr_html_(self) -> str:
        mark = "right" if self.problem is None else "not yet"
        border = "solid" if self.problem is None else "dashed"
        lines = [f"<b>{html.escape(self.task)}: {mark}</b>"]
        if self.problem is None:
            lines.append(f"{self.right} of {self.right} cases")
        else:
            lines.append(f"<code>{html.escape(self.problem)}</code>")
        if self.hint:
            lines.append(f"<i>Hint: {html.escape(self.hint)}</i>")
        return f'<div style="border-left: 4px {border}; padding: 2px 10px">{"<br>".join(lines)}</div>'


@contextlib.contextmanager
def _time_limit():
    """Stop a loop that does not end, where the system can (not on Windows, and not outside the main thread)."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    limit = COMPILING_LIMIT_S if "numba" in sys.modules else LIMIT_S

    def stop(*_):
        raise TimeoutError(f"stopped after {limit} s; {STOPPED}")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _line(error: BaseException, task: str) -> str:
    """The line of the learner's own cell that raised, where there is one.

    Where the answer has the name of its task, its cell is known; so no line of a given cell is taken for one of it.
    """
    frames, own = traceback.extract_tb(error.__traceback__), _file_of(task)
    if own:
        frames = [f for f in frames if f.filename == own]
    else:
        frames = [f for f in frames if "ipykernel" in f.filename or "<" in f.filename]
    return f" (line {frames[-1].lineno}: {frames[-1].line})" if frames and frames[-1].line else ""


def _file_of(task: str) -> str | None:
    """Where a notebook's function of this name was defined, compiled by Numba or not."""
    answer = vars(sys.modules["__main__"]).get(task)
    return getattr(getattr(getattr(answer, "py_func", answer), "__code__", None), "co_filename", None)
