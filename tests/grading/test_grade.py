"""Marking one submission, in real kernels."""

import time

import pytest

from coursekit.grading.exercise.key import load_key
from coursekit.grading.marking.grade import BadKey, expected, mark
from coursekit.grading.marking.notebook import mark_file
from coursekit.grading.marking.proof import prove
from tests.grading.conftest import key_cells, write_notebook

SEED = 7


@pytest.fixture
def graded(key, wanted, right):
    """Mark the solution with some of its answers changed; returns the marks by task."""

    def grade(**changed):
        result = mark(key, right | changed, wanted, SEED)
        assert result.status == "graded"
        return {m.task: m for m in result.marks}

    return grade


def points(marks) -> list[int]:
    return [m.points for m in marks.values()]


def test_the_solution_earns_all(key, wanted, right):
    result = mark(key, right, wanted, SEED)
    assert result.is_full and result.points == result.possible == 6
    assert [m.cases_right for m in result.marks] == [2, 2, 2]


def test_the_released_exercise_earns_nothing(key, wanted, hand_in, tmp_path):
    result = mark_file(key, hand_in(tmp_path / "a.ipynb", {}), wanted, SEED)
    assert result.points == 0 and [m.status for m in result.marks] == ["empty"] * 3


def test_the_key_grades(key):
    assert prove(key, seed=11) == []


def test_a_wrong_answer_says_where_it_differs(graded):
    marks = graded(double="def double(x):\n    return np.asarray(x) * np.arange(1, len(x) + 1)")
    assert points(marks) == [0, 2, 3]
    assert marks["double"].message.startswith("drawn: at [0]: got ")
    assert marks["double"].cases_right == 1 and "got 1, wanted 2" in marks["double"].feedback


def test_a_wrong_answer_says_what_it_was_called_with_by_the_keys_own_word(graded, wanted):
    """A text of the learner's own kernel is not shown in its place."""
    lie = "import coursekit.grading.judge as j\nj.arguments_text = lambda args, kwargs: 'a lie'\n"
    marks = graded(double=f"{lie}def double(x):\n    return 3 * np.asarray(x)")
    told = wanted["double"][0]["arguments"]
    assert told.startswith("[") and told.count(",") == 4
    assert marks["double"].message.startswith("drawn: at [0]: got")
    assert marks["double"].message.endswith(f"; called with {told}")


def test_inputs_follow_the_seed(key, wanted, right):
    assert expected(key, SEED) == wanted
    other = expected(key, SEED + 1)
    assert other["double"][0] != wanted["double"][0] and other["double"][1] == wanted["double"][1]
    assert mark(key, right, other, SEED).points == 0, "values for another seed must not be right"


def test_an_exception_in_the_answer_is_told(graded):
    marks = graded(double="def double(x):\n    return x.nothing")
    assert "drawn: raised AttributeError" in marks["double"].message and "nothing" in marks["double"].message


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("def double(x:", "error", "SyntaxError"),
        ("raise KeyError('no')", "error", "KeyError"),
        ("def twice(x):\n    return 2 * x", "wrong", "not defined"),
        ("def double(x):\n    pass", "wrong", "got None"),
        ("import os\nos._exit(0)", "died", "ended the Python process"),
        ("def double(x):\n    import os, signal\n    os.kill(os.getpid(), signal.SIGSEGV)", "died", "ended"),
        (
            "import time\ndef double(x):\n    while time.sleep(0.001) is None: print('x' * 10**5)",
            "flooded",
            "too much",
        ),
        ("import sys\nsys.exit()", "error", "SystemExit"),
    ],
)
def test_a_broken_answer_costs_its_own_points_only(graded, source, status, words):
    marks = graded(double=source)
    assert points(marks) == [0, 2, 3]
    assert marks["double"].status == status and words in marks["double"].message


def test_an_endless_loop_is_stopped_within_a_second_of_its_time(graded):
    started = time.monotonic()
    marks = graded(total="def total(x):\n    while True:\n        pass")
    assert points(marks) == [1, 0, 0]
    assert marks["total"].status == "timeout" and "4 s" in marks["total"].message
    assert marks["mean"].status == "waiting" and "calls total" in marks["mean"].message
    assert time.monotonic() - started < 60, "the loop ran through its time-out once, not for each cell"


def test_what_an_answer_leaves_behind_does_not_cost_another_its_points(graded):
    later = "import os, threading\nthreading.Timer(0.2, os._exit, [1]).start()\n\n"
    slow = "import time\ntime.sleep(0.6)\n\n"
    marks = graded(
        double=later + "def double(x):\n    return 2 * np.asarray(x)",
        total=slow + "def total(x):\n    s = 0.0\n    for v in x:\n        s += v\n    return s",
    )
    assert points(marks)[1:] == [2, 3]


def test_a_forbidden_call_is_refused_and_not_run(graded, tmp_path):
    trace = tmp_path / "ran"
    marks = graded(total=f"open({str(trace)!r}, 'w')\ndef total(x):\n    return np.sum(x)")
    assert marks["total"].status == "refused" and "line 3 uses numpy.sum" in marks["total"].message
    assert not trace.exists()


@pytest.mark.parametrize(
    "source",
    [
        "import coursekit.grading.judge as j\nj.judge = lambda t: (lambda *a, **k: None, None)",
        "import coursekit.grading.compare as c\nc.difference = lambda *a, **k: None",
        "np.isclose = lambda *a, **k: np.True_\nnp.testing.assert_allclose = lambda *a, **k: None",
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
        "class double(float):\n    __eq__ = lambda s, o: True\n    def __new__(c, x): return float.__new__(c, 1)",
    ],
)
def test_patching_the_kernel_earns_nothing(graded, source):
    if "double" not in source:
        source += "\ndef double(x):\n    return 1"
    marks = graded(double=source)
    assert marks["double"].points == 0


def test_no_judge_cell_is_on_disk_for_a_kernel_to_read(graded):
    spy = """
import pathlib
SEEN = "".join(p.read_text(errors="ignore") for p in pathlib.Path(".").rglob("*") if p.is_file())
def double(x):
    return 2 * np.asarray(x) if "emit(" not in SEEN and "2 * np" not in SEEN else None
"""
    assert graded(double=spy)["double"].points == 1


HONEST = {
    "a helper called as the judge calls something": {
        "double": "rng = lambda x: 2 * np.asarray(x)\ndef double(x):\n    return rng(x)"
    },
    "a builtin's name taken": {
        "double": "list = [1]\nint = 3\n\n\ndef double(x):\n    return 2 * np.asarray(x)"
    },
    "a list for an array": {"double": "def double(x):\n    return [2 * v for v in x]"},
    "a long double": {
        "total": "def total(x):\n    s = np.longdouble(0)\n    for v in x: s += v\n    return s"
    },
    "a tuple, and prints": {
        "double": "def double(x):\n    print('here')\n    return tuple(2 * v for v in x)"
    },
    "an exception of one's own": {
        "mean": "class E(ValueError): pass\ndef mean(x):\n    if not len(x): raise E\n    return total(x) / len(x)"
    },
    "the input used up": {
        "total": "def total(x):\n    x, s = list(x), 0.0\n    while x:\n        s += x.pop(0)\n    return s"
    },
    "a remark in another script": {"double": "# \ud83d 二倍\ndef double(x):\n    return 2 * np.asarray(x)"},
}


@pytest.mark.parametrize("answers", HONEST.values(), ids=HONEST)
def test_an_honest_answer_keeps_its_points(hand_in, key, wanted, right, tmp_path, answers):
    result = mark_file(key, hand_in(tmp_path / "a.ipynb", right | answers), wanted, SEED)
    assert result.points == 6, [m.message for m in result.marks]


BREAKING = {
    "an enormous number": "def double(x):\n    return 10**5000",
    "a message of no form": (
        "get_ipython().kernel.session.send(get_ipython().kernel.iopub_socket, 'display_data', {'data': None},\n"
        "    parent=get_ipython().kernel.get_parent())\ndef double(x):\n    return 1"
    ),
    "a broken signature": (
        "def double(x):\n    get_ipython().kernel.session.key = b'other'\n    return 2 * np.asarray(x)"
    ),
    "a lone surrogate": "def double(x):\n    raise KeyError('\\ud800')",
}


@pytest.mark.parametrize("source", BREAKING.values(), ids=BREAKING)
def test_what_breaks_the_comparison_costs_its_own_points_only(graded, source):
    marks = graded(double=source)
    assert points(marks) == [0, 2, 3]


def test_a_key_that_fails_itself_grades_nobody(tmp_path):
    cells = key_cells()
    cells[3]["source"] = cells[3]["source"].replace("return 2", "import os; os._exit(1); return 2")
    cells[6]["source"] += "\nimport os\nos._exit(1)"
    key = load_key(write_notebook(tmp_path / "00_small.ipynb", cells))
    with pytest.raises(BadKey, match="died"):
        expected(key, SEED)


def test_proof_finds_a_key_that_does_not_grade(tmp_path):
    cells = key_cells()
    cells[5]["source"] = cells[5]["source"].replace("Twice, not its square.", "No hint at all.")
    cells[11]["source"] = cells[11]["source"].replace("emit(", "len((").replace("emit, rng", "(emit), rng")
    cells[4]["metadata"]["coursekit"]["hint"] = "not its square"
    cells[11]["source"] = (
        'from coursekit.grading.judge import judge\n\nemit, rng = judge("total")\nemit("one", 1)'
    )
    key = load_key(write_notebook(tmp_path / "00_small.ipynb", cells))
    problems = "\n".join(prove(key, seed=3))
    line = "return np.asarray(x) ** 2"
    assert f"the wrong answer with the line {line!r} should earn the hint 'not its square'" in problems
    assert "total: the empty answer earns 2 points" in problems
    assert "total: the wrong answer with the line 'return x[0]' earns 2 points" in problems


def test_a_call_that_its_visible_check_stopped_costs_its_time_once(graded, monkeypatch):
    """The key allows 4 s a cell, its check 1 s a call: neither the other cases nor the hidden ones wait again."""
    limit = "import coursekit.grading.checks as _c\n_c.LIMIT_S = _c.COMPILING_LIMIT_S = 1\n"
    endless = limit + "def total(x):\n    while True:\n        pass"
    started = time.monotonic()
    marks = graded(total=endless)
    assert points(marks) == [1, 0, 0] and marks["total"].status == "timeout"
    assert marks["total"].message == (
        "a call of its visible check was stopped after 1 s, so its hidden cases were not run; "
        "it is too slow for this input, or has a loop that does not end"
    )
    assert "stopped after 1 s" in marks["total"].feedback
    assert marks["mean"].status == "waiting"
    assert time.monotonic() - started < 40


def test_the_cause_of_an_exception_comes_first(graded):
    message = graded(total="def total(x):\n    return x['first']")["total"].message
    assert message.startswith("drawn: raised IndexError (only integers") and "), wanted " in message
