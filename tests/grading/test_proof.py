"""The proof of a key finds each way in which it does not grade. One key holds them all, a task each."""

import pytest

from coursekit import cli
from coursekit.grading.exercise.key import load_key
from coursekit.grading.marking.proof import find_problems, prove
from tests.grading.conftest import GIVEN, code, judge, text, write_notebook

ANSWER = """def {name}(x):
    \"\"\"Twice x.\"\"\"
    # BEGIN SOLUTION
    {body}
    # END SOLUTION"""
TWICE = "return [2 * v for v in x]"
DRAWN = 'emit("drawn", {name}, list(rng.normal(size=4)))'
EDGE = 'emit("empty", {name}, [])'
CHECK = 'with Check("{name}") as check:\n    check({name}, [1, 3], want=[2, 6], hints={{"Twice.": [1, 9]}})'

# Of each task: what of it is broken, and the problems that are found: the role of their cell, and words.
TASKS = {
    "sound": ({}, []),
    "stops": (
        {"after": "raise ValueError('no')"},
        [("answer", "the key's own answer cell ends in error (ValueError: no)")],
    ),
    "judge_stops": (
        {"judge": "emit('a', judge_stops, undefined)"},
        [("judge", "the key's own judge cell ends in error (NameError")],
    ),
    "silent": (
        {"judge": "for x in rng.normal(size=0):\n    emit('a', silent, x)"},
        [("judge", "its judge cell emits nothing")],
    ),
    "namesakes": (
        {"judge": "for _ in range(3):\n    emit('a', namesakes, rng.normal(size=2))"},
        [("judge", "3 cases are called 'a'; give each a name of its own")],
    ),
    "numbered": (
        {"judge": "emit(1, numbered, list(rng.normal(size=2)))"},
        [("judge", "a case is called 1; a name in quotes is wanted")],
    ),
    "truths": (
        {"judge": "emit('a', bool, truths([rng.normal()]))\nemit('b', bool, truths([]))"},
        [("judge", "only truth values, which can be guessed"), ("wrong", "earns 1 point;")],
    ),
    "one_value": (
        {"judge": "emit('a', sum, one_value([0]))\nemit('b', sum, one_value([rng.integers(1) * 2]))"},
        [
            ("judge", "a constant would earn the points"),
            ("wrong", "the wrong answer with the line 'return [v**2 for v in x]' earns 1 point;"),
        ],
    ),
    "unseeded": (
        {"judge": "emit('a', unseeded, [3, 4])\nemit('b', unseeded, [3])"},
        [("judge", "two seeds give the same values in every case")],
    ),
    "raises": (
        {"judge": f"{DRAWN}\nemit('none', {{name}}, None)"},
        [("judge", "in the case 'none' the solution raises TypeError ('NoneType' object is not iterable)")],
    ),
    "raises_and_says_so": (
        {
            "judge": f"{DRAWN}\nemit('none', {{name}}, None)",
            "check": CHECK + "\n    check({name}, None, raises=TypeError)",
        },
        [],
    ),
    "clock": (
        {
            "body": "import time; return [time.perf_counter_ns() for v in x]",
            "check": CHECK.replace("2, 6", "1, 9"),
        },
        [
            ("judge", "the solution earns 0 of 1: drawn"),
            ("check", "the visible check refuses the solution"),
            ("wrong", "the visible check accepts the wrong answer with the line 'return [v**2 for v in x]'"),
        ],
    ),
    "lenient": (
        {"judge": "emit('a', lenient, list(rng.integers(2, size=20) * 2))\nemit('b', lenient, [0])"},
        [("wrong", "the wrong answer with the line 'return [v**2 for v in x]' earns 1 point; add a case")],
    ),
    "mute": (
        {"check": CHECK.replace("[1, 9]", "[1, 8]")},
        [
            (
                "wrong",
                "the wrong answer with the line 'return [v**2 for v in x]' should earn the hint 'Twice.'",
            )
        ],
    ),
    "blind": (
        {
            "check": 'with Check("{name}") as check:\n    check({name}, [0, 2], want=[0, 4], hints={{"Twice.": 1}})'
        },
        [
            (
                "wrong",
                "accepts the wrong answer with the line 'return [v**2 for v in x]': blind: right, 1 of 1 cases",
            )
        ],
    ),
    "strict": (
        {"check": CHECK.replace("[2, 6]", "[2, 7]")},
        [("check", "the visible check refuses the solution: strict: not yet")],
    ),
    "bad_check": (
        {"check": CHECK + "\nundefined"},
        [("check", "bad_check: its check ends in error (NameError")],
    ),
    "nothing": (
        {"body": "x.append(2)", "judge": "emit('a', nothing, [rng.normal()])\nemit('b', nothing, [])"},
        [
            ("judge", "only truth values"),
            ("answer", "the empty answer earns 1 point;"),
            ("check", "the visible check refuses the solution"),
        ],
    ),
    "uses": (
        {"body": "return list(np.multiply(2, x))", "meta": {"forbid": ["numpy.multiply"]}},
        [("answer", "the solution uses what the task forbids: line 4 uses numpy.multiply")],
    ),
    "uses_unseen": (
        {"body": 'return list(getattr(np, "mul" + "tiply")(2, x))', "meta": {"forbid": ["numpy.multiply"]}},
        [("answer", "the solution uses what the task forbids: it uses numpy.multiply")],
    ),
    "hidden": (
        {
            "body": "def sorted(v):\n        return v\n\n    return [2 * v for v in sorted(x)]",
            "meta": {"forbid": ["sorted", "@", ".sort", "math.fsum"]},
        },
        [("answer", "a call of sorted is not refused")],
    ),
    "unwatched": (
        {"meta": {"forbid": ["map", "numpy.dot", "@", ".sort", "statistics", "collections.deque"]}},
        [("answer", "a call of map is found in the source of an answer, but not as it runs, so one that is")],
    ),
    "objects": (
        {
            "body": "return object()",
            "judge": 'emit("a", objects, rng)\nemit("b", lambda: [{1: objects(1)}])\nemit("c", lambda: {1, "b"})',
        },
        [
            (
                "judge",
                "what the case 'a' emits cannot be compared: it is, or holds, an object of type object;",
            ),
            (
                "judge",
                "what the case 'b' emits cannot be compared: it is, or holds, an object of type object;",
            ),
            ("judge", "what the case 'c' emits cannot be compared: '<' not supported between"),
        ],
    ),
    "kills": (
        {"wrong": "import os\n\ndef {name}(x):\n    os._exit(1)"},
        [("wrong", "with the wrong answer with the line 'import os' its check ends in died")],
    ),
    "needing": ({"body": "return sound(x)", "meta": {"needs": ["sound"]}}, []),
}


def cells_of(name: str, broken: dict) -> list:
    def filled(part: str, default: str) -> str:
        return broken.get(part, default).replace("{{", "{").replace("}}", "}").replace("{name}", name)

    answer = ANSWER.replace("{body}", filled("body", TWICE)).replace("{name}", name)
    own = {"points": 1} | broken.get("meta", {})
    wrong = filled("wrong", "def {name}(x):\n    return [v**2 for v in x]")
    return [
        text(f"## {name}", name),
        code(wrong, "wrong", name, hint="Twice."),
        code(f"{answer}\n{broken.get('after', '')}", "answer", name, **own),
        code(filled("check", CHECK), "check", name),
        code(judge(name, filled("judge", f"{DRAWN}\n{EDGE}")), "judge", name),
    ]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    cells = [code(GIVEN, "given"), code("1 / 0", "given")]
    for name, (broken, _) in TASKS.items():
        cells += cells_of(name, broken)
    key = load_key(write_notebook(tmp_path_factory.mktemp("broken") / "key.ipynb", cells))
    return key, find_problems(key, seed=5)


def test_a_sound_key_has_no_problems_and_is_watched(key):
    seen = []
    assert find_problems(key, 3, lambda step: seen.append(step.label)) == [] == prove(key, 4)
    assert "answer total solution" in seen


@pytest.mark.parametrize("name", TASKS)
def test_finds_what_is_wrong_and_where(found, name):
    key, problems = found
    own = [(key.cells[i].role, text) for text, i, _ in problems if key.cells[i].task == name]
    wanted = TASKS[name][1]
    assert len(own) == len(wanted)
    for role, words in wanted:
        assert any(role == got and words in text and text.startswith(f"{name}: ") for got, text in own), own


def test_finds_a_given_cell_that_stops(found):
    (problem,) = [problem for problem in found[1] if problem.index < 2]
    assert (
        problem.index == 1 and not problem.is_warning and "ends in error (ZeroDivisionError" in problem.text
    )


def race(name: str, draw: str):
    source = f"from coursekit.grading.judge import race\n\nrace({name}, lambda rng: {draw})"
    return code(source, "race", name, points=2)


@pytest.mark.alone
def test_finds_a_race_that_cannot_be_timed_and_one_that_is_not_right(tmp_path):
    slow = "import time; time.sleep(0.004); return [2 * v for v in x]"
    moody = slow.replace("2 * v", "2 * v if len(x) < 9 else np.random.normal()")
    cells = [code(GIVEN, "given")]
    cells += [*cells_of("timed", {"body": slow}), race("timed", "[rng.normal(size=3)]")]
    cells += [*cells_of("short", {}), race("short", "[rng.normal(size=3)]")]
    cells += [*cells_of("moody", {"body": moody}), race("moody", "[rng.normal(size=9)]")]
    key = load_key(write_notebook(tmp_path / "key.ipynb", cells))
    problems = find_problems(key, seed=5)
    assert [(key.cells[i].task, key.cells[i].role) for _, i, _ in problems] == [
        ("short", "race"),
        ("moody", "race"),
    ]
    assert "too little to be timed" in problems[0].text
    assert "in the race, on other inputs, it is not right" in problems[1].text


def test_what_cannot_be_watched_is_a_warning(found):
    warnings = [text for text, _, is_warning in found[1] if is_warning]
    assert len(warnings) == 1 and warnings[0].startswith("unwatched: a call of map is found")


def test_lint_prints_a_warning_and_exits_with_0(tmp_path, capsys):
    cells = [code(GIVEN, "given"), *cells_of("f", {"meta": {"forbid": ["map"]}})]
    cells[1].source += "\n\n<details><summary>Hint 1</summary>Twice.</details>"
    path = write_notebook(tmp_path / "a.ipynb", cells)
    assert cli.main(["lint", str(path)]) == 0
    warning, clean = capsys.readouterr().out.splitlines()
    assert warning.startswith(f"{path}, cell 4 (def f(x):): warning: f: a call of map is found")
    assert clean == f"{path}: nothing to mend in 1 tasks, 1 points, 1 warning"
