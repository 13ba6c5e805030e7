"""The visible check says at once what differs, and knows the usual mistakes."""

import linecache
import sys
import time

import numpy as np

from coursekit.grading import Check


def say(function, *args, **kwargs):
    check = Check("task")
    check(function, *args, **kwargs)
    return check


def test_right():
    assert str(say(lambda x: 2 * x, 3, want=6)) == "task: right, 1 of 1 cases"


def test_names_the_call_the_index_and_both_values():
    def double(x):
        return np.asarray(x) ** 2

    said = str(say(double, [2, 3], want=[4, 6]))
    assert "double([2, 3]): at [1]: got 9, wanted 6" in said


def test_gives_the_hint_of_the_mistake_it_recognises():
    hints = {"Not its square.": 9, "Not its cube.": 27}
    assert str(say(lambda x: x**2, 3, want=6, hints=hints)).endswith("Hint: Not its square.")
    assert str(say(lambda x: x**3, 3, want=6, hints=hints)).endswith("Hint: Not its cube.")
    assert "Hint" not in str(say(lambda x: x, 3, want=6, hints=hints))


def test_recognises_an_exception_as_a_mistake():
    said = str(say(lambda x: x[0], [], want=0, hints={"Think of the empty list.": IndexError}))
    assert "IndexError: list index out of range" in said and "Think of the empty list." in said


def test_none_is_not_written_yet():
    assert "not written yet" in str(say(lambda x: None, 3, want=6))
    assert "not written yet" in str(say(lambda x: None, 3, raises=ValueError))


def test_wanted_exceptions():
    def refuse(x):
        raise ValueError("no")

    assert "right" in str(say(refuse, 1, raises=ValueError))
    assert "raised ValueError (no), wanted TypeError" in str(say(refuse, 1, raises=TypeError))
    assert "wanted a ValueError to be raised" in str(say(lambda x: x, 1, raises=ValueError))


def test_stops_at_the_first_difference():
    check = Check("task")
    check(lambda: 1, want=2)
    check(lambda: 1 / 0, want=2)
    assert "got 1, wanted 2" in str(check) and "ZeroDivision" not in str(check)


def test_html_is_escaped():
    check = say(lambda: "<script>", want="<b>")
    assert "<script>" not in check._repr_html_() and "&lt;script&gt;" in check._repr_html_()


def test_an_answer_that_returns_something_strange_is_wrong_not_fatal():
    assert "got an object of type object" in str(say(lambda: object(), want=1))
    assert "1000000 elements" in str(say(lambda: np.zeros(10**6), want=1))


def test_a_loop_that_does_not_end_is_stopped(monkeypatch):
    from coursekit.grading import checks

    monkeypatch.setattr(checks, "LIMIT_S", 0.2)
    monkeypatch.delitem(sys.modules, "numba", raising=False)

    def forever():
        while True:
            pass

    assert "stopped after 0.2 s; it is too slow for this input" in str(say(forever, want=1))


def test_a_first_call_that_compiles_has_more_time(monkeypatch):
    from coursekit.grading import checks

    monkeypatch.setattr(checks, "LIMIT_S", 0.05)
    monkeypatch.setitem(sys.modules, "numba", object())
    assert "right" in str(say(lambda: time.sleep(0.2), want=None))
    monkeypatch.setattr(checks, "COMPILING_LIMIT_S", 0.05)
    assert "stopped after 0.05 s" in str(say(lambda: time.sleep(0.2), want=None))


def test_what_returns_where_it_should_raise_is_not_called_unwritten():
    assert "<lambda>(): returned None, wanted ValueError to be raised" in str(
        say(lambda: None, raises=ValueError)
    )


def test_the_answer_cannot_use_up_the_arguments_of_a_case():
    values = [1, 2]
    say(lambda v: v.clear(), values, want=1)
    assert values == [1, 2]


def test_an_error_names_a_line_of_the_answers_own_cell(monkeypatch):
    """Where the helper of a given cell calls the answer, and where it raises without it."""
    cells = {
        "<ipykernel_answer>": "def ratio(x):\n    return 1 / x",
        "<ipykernel_given>": "def rounded(x):\n    return round(ratio(x), [])",
    }
    names = {}
    for cell, source in cells.items():
        monkeypatch.setitem(linecache.cache, cell, (1, None, source.splitlines(True), cell))
        exec(compile(source, cell, "exec"), names)
    assert "(line 2: return round(ratio(x), []))" in str(say(names["rounded"], 1, want=1.0))
    monkeypatch.setattr(sys.modules["__main__"], "task", names["ratio"], raising=False)
    assert "(line 2: return 1 / x)" in str(say(names["rounded"], 0, want=1.0))
    assert "line" not in str(say(names["rounded"], 1, want=1.0))
