"""Each thing that can be wrong with an exercise is named, once, with its cell; a sound one is left alone."""

import copy
import json
from pathlib import Path

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit import cli
from coursekit.grading.exercise.key import load_key, problems
from coursekit.grading.exercise.notebook import BadNotebook, Cell, read_cells
from coursekit.grading.exercise.release import release
from coursekit.grading.lint.cases import read_cases
from coursekit.grading.lint.findings import lint
from coursekit.grading.lint.lookup import why_nothing
from coursekit.grading.lint.trees import parse, told
from tests.grading.conftest import code, key_cells, text, write_notebook

KEYS = sorted((Path(__file__).parents[2] / "solutions").glob("*.ipynb"))
HINT = "\n\n<details><summary>Hint 1</summary>Look at one.</details>"
TEXT, WRONG, ANSWER, CHECK, JUDGE = 3, 4, 5, 6, 7  # the cells of the first task, counted from 1
OTHER_TEXT, OTHER_ANSWER = 8, 10
RACE = "from coursekit.grading.judge import race\n\nrace(double, lambda rng: [rng.normal(size=9)])"


def sound_cells() -> list:
    """The small key with hints, and its wrong answers before the answers."""
    cells = key_cells()
    for i, cell in enumerate(cells):
        if cell.metadata.coursekit.role == "wrong":
            cells[i - 1 : i + 1] = cell, cells[i - 1]
    for cell in cells:
        if cell.cell_type == "markdown" and "task" in cell.metadata.coursekit:
            cell.source += HINT
    return cells


def findings(tmp_path, change=lambda cells: None, metadata=None) -> list:
    cells = sound_cells()
    change(cells)
    return lint(write_notebook(tmp_path / "00_small.ipynb", cells, metadata))


def meta(number, **values):
    """Change the coursekit metadata of a cell; None takes a value out."""

    def change(cells):
        own = cells[number - 1].metadata.coursekit
        for name, value in values.items():
            own.pop(name, None) if value is None else own.update({name: value})

    return change


def source(number, old, new):
    def change(cells):
        assert old in cells[number - 1].source
        cells[number - 1].source = cells[number - 1].source.replace(old, new)

    return change


def put(number, cell):
    return lambda cells: cells.insert(number - 1, cell)


def drop(number):
    return lambda cells: cells.pop(number - 1)


def judging(*emits):
    lines = ["from coursekit.grading.judge import judge", "", 'emit, rng = judge("double")', *emits]
    return lambda cells: cells[JUDGE - 1].update(source="\n".join(lines))


def moved(start, end):
    return lambda cells: cells.insert(end - 1, cells.pop(start - 1))


def test_a_sound_key_is_left_alone(tmp_path):
    assert findings(tmp_path) == []
    assert findings(tmp_path, metadata={"coursekit": {"points": 6}}) == []


@pytest.mark.parametrize("path", KEYS, ids=lambda p: p.stem)
def test_the_keys_of_the_course_are_clean(path):
    assert [str(finding) for finding in lint(path)] == []


BROKEN = [
    (
        meta(ANSWER, points=None, piont=1),
        ANSWER,
        "'piont' means nothing in the metadata of a cell with the role 'answer'",
    ),
    (meta(ANSWER, points=None), ANSWER, "needs points, a whole number from 1; got None"),
    (meta(ANSWER, points=1.5), ANSWER, "needs points, a whole number from 1; got 1.5"),
    (meta(ANSWER, points=True), ANSWER, "needs points, a whole number from 1; got True"),
    (meta(ANSWER, points="2"), ANSWER, "needs points, a whole number from 1; got '2'"),
    (meta(ANSWER, needs=["nobody"]), ANSWER, "'double' needs nobody, which does not stand before it"),
    (meta(ANSWER, needs=["mean"]), ANSWER, "'double' needs mean, which does not stand before it"),
    (meta(ANSWER, needs=["double"]), ANSWER, "'double' needs double, which does not stand before it"),
    (meta(ANSWER, needs="total"), ANSWER, "needs of task 'double' has to be a list of names; got 'total'"),
    (meta(ANSWER, forbid="sum"), ANSWER, "forbid of task 'double' has to be a list of names; got 'sum'"),
    (meta(ANSWER, forbid=[1]), ANSWER, "forbid of task 'double' has to be a list of names; got [1]"),
    (meta(ANSWER, forbid=["numpy.dott"]), ANSWER, "numpy has no 'dott'; did you mean 'numpy.dot'?"),
    (meta(ANSWER, forbid=["np.dot"]), ANSWER, "by their full names; write 'numpy.dot'"),
    (meta(ANSWER, allow="sum"), ANSWER, "allow of task 'double' has to be a list of names; got 'sum'"),
    (
        meta(ANSWER, allow=["numpy.zeross"]),
        ANSWER,
        "allow 'numpy.zeross' names nothing: numpy has no 'zeross'",
    ),
    (
        meta(ANSWER, allow=["np.zeros"]),
        ANSWER,
        "allow 'np.zeros' finds nothing: calls are found by their full",
    ),
    (meta(ANSWER, allow=["mth.*", "parallel="]), ANSWER, "allow 'mth' names nothing"),
    (meta(ANSWER, allow=["math.*", "paralel="]), ANSWER, "allow 'paralel=' has no known form"),
    (
        meta(ANSWER, allow=["math.*"]),
        OTHER_ANSWER,
        "'double' says what it allows, and 'total', which runs in the",
    ),
    (source(ANSWER, "# BEGIN SOLUTION", "# BEGIN"), ANSWER, "needs a line # BEGIN SOLUTION"),
    (source(ANSWER, "    # END SOLUTION", ""), ANSWER, "and a line # END SOLUTION after it"),
    (
        lambda c: c[ANSWER - 1].update(
            source='def double(x):\n    """Twice x."""\n    # END SOLUTION\n    return 2 * x\n    # BEGIN SOLUTION'
        ),
        ANSWER,
        "a line # BEGIN SOLUTION before",
    ),
    (source(ANSWER, "    return 2 * np.asarray(x)\n", "    # later\n\n"), ANSWER, "nothing stands between"),
    (source(ANSWER, '    """Twice x."""\n', ""), ANSWER, "without its solution it is no Python (line 2"),
    (
        source(ANSWER, "def double", "def sum"),
        ANSWER,
        "it defines sum, and check and judge cells call the builtin",
    ),
    (source(ANSWER, "def double", "list = 1\n\ndef double"), ANSWER, "it defines list, and check"),
    (source(WRONG, "return", "retrun"), WRONG, "it is no Python: line 2: invalid syntax"),
    (meta(WRONG, hint=None), WRONG, "a wrong answer of 'double' needs a hint"),
    (meta(WRONG, hint=" "), WRONG, "a wrong answer of 'double' needs a hint"),
    (
        meta(WRONG, hint="not its cube"),
        WRONG,
        "its hint 'not its cube' stands in no plain text of the check cell",
    ),
    (
        source(CHECK, '{"Twice, not its square.": [1, 9]}', '{f"{2} times, not its square.": [1, 9]}'),
        WRONG,
        "its hint 'not its square' stands in no plain text of the check cell",
    ),
    (
        put(
            2,
            nbformat.v4.new_markdown_cell(
                "# SOLUTION", metadata={"coursekit": {"role": "wrong", "task": "double", "hint": "Twice"}}
            ),
        ),
        2,
        "a markdown cell has the role 'wrong'; it has to be a code cell",
    ),
    (drop(WRONG), WRONG, "task 'double' has no typical wrong answer"),
    (moved(WRONG, ANSWER), ANSWER, "a wrong answer stands after the answer"),
    (moved(CHECK, ANSWER), ANSWER, "the check cell of 'double' stands before its answer"),
    (drop(CHECK), ANSWER, "task 'double' needs one check cell and has 0"),
    (drop(JUDGE), ANSWER, "task 'double' needs one judge cell and has 0"),
    (
        lambda c: c.insert(JUDGE, nbformat.from_dict(c[JUDGE - 1] | {"id": "again"})),
        JUDGE + 1,
        "task 'double' needs one judge cell and has 2",
    ),
    (
        source(CHECK, 'Check("double")', 'Check("total")'),
        CHECK,
        "it checks 'total' and is the check of 'double'",
    ),
    (
        lambda c: c[CHECK - 1].update(source='assert double(2) == 4, "Twice, not its square."'),
        CHECK,
        'it does not open a check; wanted: with Check("double") as check:',
    ),
    (source(JUDGE, 'judge("double")', 'judge("mean")'), JUDGE, "it judges 'mean' and is for 'double'"),
    (source(JUDGE, "emit, rng =", "pair ="), JUDGE, 'wanted: emit, rng = judge("double")'),
    (judging(), JUDGE, "it emits nothing"),
    (judging('emit("a", double, [1])', 'emit("b", double, [2])'), JUDGE, "no case takes its input from rng"),
    (
        judging('emit("a", double, rng.normal())', 'emit("b", double, [])', 'emit("c", double([1]) == [2])'),
        JUDGE,
        "line 6 emits what can be guessed, emit('c', double([1]) == [2])",
    ),
    (judging('emit("a", double, rng.normal())'), JUDGE, "every case is drawn; add fixed ones"),
    (meta(JUDGE, timeout=0), JUDGE, "timeout of task 'double' has to be a number above 0; got 0"),
    (meta(JUDGE, rtol=-1), JUDGE, "rtol of task 'double' has to be a number from 0; got -1"),
    (meta(JUDGE, atol="0"), JUDGE, "atol of task 'double' has to be a number from 0; got '0'"),
    (meta(JUDGE, points=2), JUDGE, "'points' means nothing in the metadata of a cell with the role 'judge'"),
    (meta(TEXT, role="givn"), TEXT, "role 'givn' is not one of given, answer"),
    (meta(TEXT, task=None), ANSWER, "task 'double' has no text"),
    (source(TEXT, "## Task 1", "Task 1"), TEXT, "does not begin with a heading"),
    (source(TEXT, HINT, ""), TEXT, "needs a hint, or more"),
    (source(TEXT, "</details>", ""), TEXT, "needs a hint, or more"),
    (put(2, code("1", "given", "other")), 2, "a given cell is for task 'other', which has no answer"),
    (put(2, code("1", "check")), 2, "a check cell needs a task"),
    (put(2, text("a task", "two words")), 2, "task 'two words' is no name"),
    (put(2, code("x = (", "given")), 2, "it is no Python: line 1: '(' was never closed"),
    (put(2, code("# BEGIN SOLUTION\nx = 1\n# END SOLUTION", "given")), 2, "is released as it stands"),
    (put(2, code("from coursekit.grading.judge import judge", "given")), 2, 'make its role "judge"'),
    (
        put(2, code("y = 2 * np.asarray(x)", "given")),
        2,
        "it holds the solution of 'double': 2 * np.asarray(x)",
    ),
    (
        source(CHECK, "want=[2, 6]", "want=2*np.asarray(x)"),
        CHECK,
        "it holds the solution of 'double': 2 * np.asarray(x)",
    ),
    (
        source(
            TEXT, "## Task 1: double", "## Task 1: double\n\n```python\n    return 2 * np.asarray(x)\n```\n"
        ),
        TEXT,
        "it holds the solution of 'double'",
    ),
    (
        source(OTHER_ANSWER, "    # BEGIN", "    y = 2 * np.asarray(x)\n    # BEGIN"),
        OTHER_ANSWER,
        "it holds the solution of 'double': 2 * np.asarray(x)",
    ),
    (source(OTHER_TEXT, HINT, f"`2*np.asarray(x)`{HINT}"), OTHER_TEXT, "it holds the solution of 'double'"),
    (put(JUDGE, code(RACE, "race", "double")), JUDGE, "the race of 'double' needs points"),
    (
        put(JUDGE, code(RACE, "race", "double", points=2, none=1.2)),
        JUDGE,
        "none of the race of 'double' has to be a number above 1.2; got 1.2",
    ),
    (
        put(JUDGE, code(RACE.replace("lambda rng: [rng", "lambda rng, x: [x"), "race", "double", points=2)),
        JUDGE,
        "its arguments do not come from the generator",
    ),
    (put(JUDGE, code("1 + 1", "race", "double", points=2)), JUDGE, "one call is wanted: race("),
    (
        put(JUDGE, code(RACE.replace("(double", "(triple"), "race", "double", points=2)),
        JUDGE,
        "it times triple, which the answer of 'double' does not define, nor this cell",
    ),
    (
        put(JUDGE, code(RACE.replace("(double", "(lambda x: x"), "race", "double", points=2)),
        JUDGE,
        "it times a lambda, which does not call the answer of 'double'; call double in it",
    ),
    (
        put(
            JUDGE,
            code(
                f"def help(x):\n    return x\n\n{RACE}".replace("(double", "(help"),
                "race",
                "double",
                points=2,
            ),
        ),
        JUDGE,
        "it times help, which does not call the answer of 'double'; call double in it",
    ),
    (
        put(
            JUDGE,
            code(RACE.replace("[rng.normal(size=9)]", "rng.normal(size=9)"), "race", "double", points=2),
        ),
        JUDGE,
        "its arguments are no list, but rng.normal(size=9); wanted, be it for one argument: [rng.normal(size=9)]",
    ),
    (
        source(OTHER_ANSWER, "s = 0.0", "s = 0.0 * double(1)"),
        OTHER_ANSWER,
        "it calls double, which the answer of 'double' defines; add 'double' to its \"needs\"",
    ),
    (
        source(ANSWER, "return 2 *", "return 2 * total(x) *"),
        ANSWER,
        "add 'total' to its \"needs\", and move it behind that answer",
    ),
    (
        meta(ANSWER, rtol=1e-3),
        ANSWER,
        "'rtol' means nothing in the metadata of a cell with the role 'answer'; it belongs",
    ),
    (
        put(2, code("def double(x):\n    return x", "given")),
        2,
        "it defines double, which the answer of 'double' is to define",
    ),
    (source(JUDGE, "emit, rng", "emit, rng ="), JUDGE, "it is no Python: line 3: invalid syntax"),
    (
        source(ANSWER, "def double(x)", "def double(x"),
        ANSWER,
        "it is no Python: line 1: '(' was never closed",
    ),
    (source(CHECK, "as check:", "as check"), CHECK, "it is no Python: line 1: expected ':'"),
    (
        source(JUDGE, "from coursekit.grading.judge", "from coursekit.grading.jugde"),
        JUDGE,
        "it imports jugde of coursekit.grading, which has none; did you mean judge?",
    ),
    (
        source(2, "coursekit.grading", "coursekti.grading"),
        2,
        "it imports coursekti, which is not here; did you mean",
    ),
    (
        source(2, "import Check", "import Chek"),
        2,
        "it imports Chek of coursekit.grading, which has none; did you mean Check?",
    ),
    (
        put(JUDGE, code("race(double, lambda rng: [[1, 2]])", "race", "double", points=2)),
        JUDGE,
        "its arguments do not come from the generator",
    ),
]
FOLLOWED = {  # what leaves something else missing, which is named too
    "allow 'numpy.zeross' names nothing: numpy has no 'zeross'",
    "allow 'np.zeros' finds nothing: calls are found by their full",
    "allow 'mth' names nothing",
    "allow 'paralel=' has no known form",
    "'piont' means nothing in the metadata of a cell with the role 'answer'",
    "role 'givn' is not one of given, answer",
    "task 'two words' is no name",
    "it calls double, which the answer of 'double' defines; add 'double' to its \"needs\"",
}


@pytest.mark.parametrize(("change", "cell", "words"), BROKEN, ids=[words[:60] for _, _, words in BROKEN])
def test_names_what_is_wrong_and_where(tmp_path, change, cell, words):
    found = findings(tmp_path, change)
    assert [f.cell for f in found if words in f.text] == [cell], [str(f) for f in found]
    assert len(found) == 1 + (words in FOLLOWED), [str(f) for f in found]


@pytest.mark.parametrize("change", [change for change, _, _ in BROKEN])
def test_what_lint_lets_pass_loads_and_what_loads_releases(tmp_path, change):
    cells = sound_cells()
    change(cells)
    path = write_notebook(tmp_path / "00_small.ipynb", cells)
    if any(problems(list(read_cells(path)))):
        with pytest.raises(BadNotebook):
            load_key(path)
    else:
        assert release(path) and load_key(path).points


FILE = [
    ({"coursekit": {"points": 7}}, "the notebook's metadata promise 7 points, and its tasks have 6"),
    ({"coursekit": {"points": "6"}}, "the notebook's metadata promise '6' points, and its tasks have 6"),
    (
        {"coursekit": {"pionts": 6}},
        "'pionts' means nothing in the notebook's coursekit metadata; did you mean",
    ),
    ({"coursekit": {"exercise": "x", "generated": "made by release"}}, "this is what learners get, made by"),
]


@pytest.mark.parametrize(("metadata", "words"), FILE, ids=[words for _, words in FILE])
def test_names_what_is_wrong_with_the_file(tmp_path, metadata, words):
    (found,) = findings(tmp_path, metadata=metadata)
    assert found.cell == 0 and words in found.text


def test_race_points_count(tmp_path):
    add = put(JUDGE, code(RACE, "race", "double", points=2))
    assert findings(tmp_path, add, {"coursekit": {"points": 8}}) == []
    assert "tasks have 8" in findings(tmp_path, add, {"coursekit": {"points": 6}})[0].text


def test_what_is_counted_asks_for_what_is_allowed(tmp_path):
    (found,) = findings(tmp_path, put(JUDGE, code(RACE, "race", "double", points=2, counts="steps")))
    assert "what it may use (allow)" in found.text
    found = findings(tmp_path, put(JUDGE, code(RACE, "race", "double", points=2, counts=3)))[0]
    assert "counts of the race of 'double' has to be a word" in found.text


def test_a_notebook_without_tasks_is_no_exercise(tmp_path):
    (found,) = lint(write_notebook(tmp_path / "a.ipynb", []))
    assert "there is no task" in found.text


def raw(metadata, kind="raw"):
    cell = nbformat.v4.new_raw_cell("x = 1") if kind == "raw" else nbformat.v4.new_code_cell("x = 1")
    cell.metadata = metadata
    return put(2, cell)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (raw({"coursekit": {"role": "given"}}), "a raw cell is not read"),
        (
            raw({"role": "answer", "points": 2}, "code"),
            'points, role of its metadata must stand within "coursekit"',
        ),
        (raw({"courskit": {"role": "answer"}}, "code"), "'courskit'; did you mean \"coursekit\"?"),
        (raw({"coursekit": "answer"}, "code"), "has to be an object; got 'answer'"),
    ],
)
def test_names_metadata_where_nobody_reads_them(tmp_path, change, words):
    (found,) = findings(tmp_path, change)
    assert found.cell == 2 and found.first == "x = 1" and words in found.text


def test_cells_are_counted_as_they_stand_in_the_notebook(tmp_path):
    """A raw cell, which nobody reads, counts too."""

    def change(cells):
        meta(JUDGE, timeout=-1)(cells)
        cells.insert(0, nbformat.v4.new_raw_cell("---"))

    (found,) = findings(tmp_path, change)
    assert found.cell == JUDGE + 1 and found.first == "from coursekit.grading.judge import judge"


def test_an_invalid_notebook_is_named(tmp_path):
    path = write_notebook(tmp_path / "a.ipynb", sound_cells())
    notebook = json.loads(path.read_text())
    del notebook["cells"][1]["outputs"]
    path.write_text(json.dumps(notebook))
    (found,) = lint(path)
    assert "no valid notebook of format 4: 'outputs' is a required property" in found.text


def test_a_finding_is_one_line_that_steers_no_terminal(tmp_path):
    change = put(2, code("\n\x1b[31m" + "long" * 40 + "\n= 1", "given"))
    (found,) = findings(tmp_path, change)
    assert str(found).startswith("cell 2 (\N{REPLACEMENT CHARACTER}[31mlong") and str(found).isprintable()
    assert len(found.first) == 60


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"nbformat": 4}', '{"nbformat": 5, "cells": []}', "\xff"]
)
def test_what_is_no_notebook_is_refused(tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(BadNotebook):
        lint(path)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 10**400)
    | st.floats()
    | st.sampled_from(["double", "answer", "", "a b"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["role", "task"]), inner, max_size=2)
    ),
    max_leaves=4,
)
NAMES = ("role", "task", "points", "forbid", "allow", "none", "needs", "hint", "rtol", "timeout", "other")


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 6), st.dictionaries(st.sampled_from(NAMES), JUNK, min_size=1, max_size=3), JUNK)
def test_whatever_stands_in_the_metadata_gives_findings(tmp_path_factory, place, own, source):
    notebook = nbformat.v4.new_notebook(cells=sound_cells())
    notebook = json.loads(nbformat.writes(notebook))
    cell = notebook["cells"][place]
    cell["metadata"]["coursekit"] = copy.deepcopy(cell["metadata"]["coursekit"]) | own
    if place == 0:
        cell["source"] = source
    path = tmp_path_factory.mktemp("junk") / "00_small.ipynb"
    path.write_text(json.dumps(notebook))
    found = lint(path)
    assert all(str(finding).isprintable() for finding in found)
    try:
        load_key(path)
    except BadNotebook as error:
        assert any(str(error) == f"{path.name}: {finding.text}" for finding in found)


CASES = [
    ('emit("a", f, rng.normal())', {"drawn"}),
    ('emit("a", f, [1, 2])', {"fixed"}),
    ('emit("a", f)', {"fixed"}),
    ('emit("a", True)', {"guessed"}),
    ('emit("a", (1, -2))', {"guessed"}),
    ('emit("a", f(x) == 2)', {"guessed"}),
    ('emit("a", not f(x))', {"guessed"}),
    ('emit("a", -f(2))', {"fixed"}),
    ('emit("a", f(rng))', {"drawn"}),
    ('emit("a", f, key=rng.normal())', {"drawn"}),
    ('x = rng.normal()\ny = [x, 1]\nemit("a", f, y)', {"drawn"}),
    ('x = rng.normal()\nx = 1\nemit("a", f, x)', {"fixed"}),
    ('x = rng.normal()\nx += 1\nemit("a", f, x)', {"drawn"}),
    ('x = 1\nx += rng.normal()\nemit("a", f, x)', {"drawn"}),
    ('x = [0]\nx[0] = rng.normal()\nx[0] = 1\nemit("a", f, x)', {"drawn"}),
    ('x = [1, 2]\nrng.shuffle(x)\nemit("a", f, x)', {"drawn"}),
    ('x = []\nx.append(rng.normal())\nemit("a", f, x)', {"drawn"}),
    ('x = np.sort(rng.normal(size=3))\nemit("a", f, np.zeros(3))', {"fixed"}),
    ('print(np, rng)\nemit("a", f, np.zeros(3))', {"fixed"}),
    ('a, b = rng.normal(size=2)\nemit("a", f, b)', {"drawn"}),
    ('x: list = rng.normal()\nemit("a", f, x)', {"drawn"}),
    ('for x in rng.normal(size=3):\n    emit("a", f, x)', {"drawn"}),
    ('for x in [rng.normal()]:\n    pass\nfor x in [1, 2]:\n    emit("a", f, x)', {"fixed"}),
    ('y = 1\nfor x in [1, 2]:\n    emit("a", f, y)\n    y = rng.normal()', {"drawn", "fixed"}),
    ('while True:\n    emit("a", f, rng.normal())', {"drawn"}),
    ('if a:\n    x = rng.normal()\nelse:\n    x = 1\nemit("a", f, x)', {"drawn"}),
    ('try:\n    pass\nexcept Exception:\n    x = rng.normal()\nemit("a", f, x)', {"drawn"}),
    ('with a:\n    emit("a", f, rng.normal())', {"drawn"}),
    ("[emit(str(x), f, x) for x in rng.normal(size=3)]", {"drawn"}),
    ("[emit(str(x), f, x) for x in (1, 2)]", {"fixed"}),
    ('def draw():\n    return rng.normal()\nemit("a", f, draw())', {"drawn"}),
    ('def case(x):\n    emit("a", f, x)\ncase(1)', {"drawn", "fixed"}),
    ("emit(*[rng.normal()])", {"drawn"}),
    ("f(2)", set()),
]


@pytest.mark.parametrize(("source", "kinds"), CASES, ids=[source for source, _ in CASES])
@pytest.mark.parametrize(("call", "emit"), [("judge", "emit"), ("coursekit.grading.judge.judge", "say")])
def test_cases_of_a_judge_cell(source, kinds, call, emit):
    source = f'{emit}, rng = {call}("double")\n{source.replace("emit(", f"{emit}(")}'
    cases = read_cases(parse(source))
    assert cases.task == "double"
    assert set().union(*cases.kinds.values()) == kinds


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ("@", None),
        ("sum", None),
        ("str.join", None),
        ("numpy", None),
        ("numpy.dot", None),
        ("numpy.linalg", None),
        ("numpy.linalg.norm", None),
        ("numpy.ndarray.sort", None),
        ("math.fsum", None),
        ("sklearn.metrics", None),
        ("concurrent.futures.thread", None),
        (".sort", None),
        (".matmul", None),
        (".searchsorted", None),
        (".index", None),
        (".fit_transform", "no type that the exercise knows has 'fit_transform'"),
        (".sortt", "did you mean '.sort'?"),
        ("numpy.linalg.nrom", "numpy.linalg has no 'nrom'; did you mean 'numpy.linalg.norm'?"),
        ("numpy.linalgg.norm", "numpy has no 'linalgg'; did you mean 'numpy.linalg'?"),
        ("numpy.ndarray.srot", "numpy.ndarray has no 'srot'; did you mean 'numpy.ndarray.sort'?"),
        ("str.joined", "str has no 'joined'"),
        ("sorte", "there is no module or builtin 'sorte' here; did you mean 'sorted'?"),
        ("numpyy.dot", "there is no module or builtin 'numpyy' here; did you mean 'numpy'?"),
        ("np.dot", "write 'numpy.dot'"),
        ("np", "write 'numpy'"),
        ("norm", "write 'numpy.linalg.norm'"),
        ("numpy.dot()", "has no known form"),
        ("numpy dot", "has no known form"),
        ("", "has no known form"),
        (".", "has no known form"),
        ("@=", "has no known form"),
    ],
)
def test_entries_of_forbid(entry, words):
    said = why_nothing(entry, {"np": "numpy", "norm": "numpy.linalg.norm", "numpy": "numpy"}, [entry])
    assert said is None if words is None else words in said, said


def test_a_method_of_a_package_that_is_forbidden_too_is_known():
    assert why_nothing(".fit_transform", {}, ["sklearn", ".fit_transform"]) is None


SOLUTION = """def f(x):
    \"\"\"Text.\"\"\"
    start = len(x) + 2 * 100
    # BEGIN SOLUTION
    total = 0
    for value in sorted(x, key=abs):
        total += value**2 / start
    total = collect(total, x)
    if total > 3 * len(x) + 1:
        raise ValueError(f"{total} is too much")
    return total
    # END SOLUTION"""


def test_a_module_that_cannot_be_loaded_here_is_still_a_module(tmp_path, monkeypatch):
    (tmp_path / "pack_of_two").mkdir()
    (tmp_path / "pack_of_two" / "__init__.py").touch()
    (tmp_path / "pack_of_two" / "fails.py").write_text("import a_module_that_is_not_installed")
    monkeypatch.syspath_prepend(tmp_path)
    assert why_nothing("pack_of_two.fails", {}) is None
    assert "pack_of_two has no 'falls'" in why_nothing("pack_of_two.falls", {})


TELLING = [
    "sorted(x, key=abs)",
    "value ** 2 / start",
    "total > 3 * len(x) + 1",
    "ValueError(f'{total} is too much')",
]


@pytest.mark.parametrize(
    ("kind", "source", "shown"),
    [
        ("code", "y = sorted(x,key=abs)", ["sorted(x, key=abs)"]),
        ("code", "check(f, [1], want=2 + value ** 2 / start)", ["value ** 2 / start"]),
        ("code", "total > 3*len(x)+1", ["total > 3 * len(x) + 1"]),
        ("code", "start = len(x) + 2 * 100\ntotal = 0\nsorted(y, key=abs)", []),
        ("code", "'sorted(x, key=abs)'", []),
        ("code", "not python (", []),
        ("markdown", "Write `collect(total, x)`.", []),
        ("markdown", "sort them with `sorted(x, key=abs)`", ["sorted(x, key=abs)"]),
        ("markdown", "```python\n    a = value**2 / start\n```", ["value ** 2 / start"]),
        ("markdown", "sorted(x, key=abs)", []),
    ],
)
def test_what_a_cell_shows_of_a_solution(kind, source, shown):
    found, share = told(SOLUTION, [Cell(kind, source)])
    assert found == shown and share == pytest.approx(len("".join(shown)) / len("".join(TELLING)))


def test_a_small_part_of_a_solution_is_no_solution(tmp_path):
    long = sound_cells()[ANSWER - 1].source.replace(
        "return 2 * np.asarray(x)",
        "first = np.asarray(x) + 0\n    second = np.sum([first, first], axis=0)\n    return np.asarray(second)",
    )

    def change(cells):
        cells[ANSWER - 1].source = long
        cells.insert(1, code("other = np.asarray(x) + 0", "given"))

    assert findings(tmp_path, change) == []


def test_what_a_hand_out_would_refuse_is_named(tmp_path):
    """A wrong answer in a text is nothing that a look at the solution finds."""
    change = source(
        TEXT, "## Task 1: double", "## Task 1: double\n\nThis is wrong:\n\n    return np.asarray(x) ** 2"
    )
    (found,) = findings(tmp_path, change)
    assert found.cell == 0 and "would show a line of a wrong answer of 'double'" in found.text


def test_lint_exits_with_0_1_or_2(tmp_path, capsys):
    sound = write_notebook(tmp_path / "sound.ipynb", sound_cells())
    assert cli.main(["lint", str(sound), "--no-run"]) == 0
    assert capsys.readouterr().out == f"{sound}: nothing to mend in 3 tasks, 6 points, without running it\n"

    cells = sound_cells()
    meta(JUDGE, timeout=0)(cells)
    broken = write_notebook(tmp_path / "broken.ipynb", cells)
    assert cli.main(["lint", str(broken), str(sound), "--no-run"]) == 1
    first, count, clean = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{broken}, cell {JUDGE} (from coursekit.grading.judge import judge): timeout of")
    assert count == f"{broken}: 1 finding" and "nothing to mend" in clean

    assert cli.main(["lint", str(broken)]) == 1, "a key that is not whole is not run"
    assert "1 finding; the rest shows when these are mended" in capsys.readouterr().out

    assert cli.main(["lint", str(tmp_path / "none.ipynb"), str(sound), "--no-run"]) == 2
    printed = capsys.readouterr()
    assert printed.err == "coursekit lint: none.ipynb is not a file\n" and "nothing to mend" in printed.out

    assert cli.main(["lint", str(sound), "--seed", "-1"]) == 2
    assert "--seed -1: a whole number from 0 is wanted" in capsys.readouterr().err


@pytest.mark.parametrize(
    "first",
    ["race(double, ", "race(lambda x: double(x)[0], ", "def top(x):\n    return double(x)[0]\n\nrace(top, "],
)
@pytest.mark.parametrize("draw", ["lambda rng: [rng.normal(size=9)]", "lambda rng: drawn(rng)", "drawn"])
def test_a_race_may_time_a_helper_and_draw_by_a_function(tmp_path, first, draw):
    assert findings(tmp_path, put(JUDGE, code(f"{first}{draw})", "race", "double", points=2))) == []


def test_a_call_through_another_answer_is_needed_too(tmp_path):
    def change(cells):
        source(OTHER_ANSWER, "s = 0.0", "s = 0.0 * double(1)")(cells)
        meta(OTHER_ANSWER, needs=["double"])(cells)

    (found,) = findings(tmp_path, change)
    assert "defines (the answer of 'total' calls it); add 'double' to its" in found.text
    assert found.cell == 15


def test_a_name_of_ones_own_is_no_call_of_another_answer(tmp_path):
    for body in (
        "double = 3\n    s = 0.0 * double",
        "s = sum(double for double in [])",
        "s = 0 * (lambda double: 1)(2)",
    ):
        assert findings(tmp_path, source(OTHER_ANSWER, "s = 0.0", body)) == []


def test_a_key_with_a_cell_that_stops_is_not_run(tmp_path, capsys):
    cells = sound_cells()
    source(2, "import Check", "import Chek")(cells)
    path = write_notebook(tmp_path / "a.ipynb", cells)
    assert cli.main(["lint", str(path)]) == 1
    assert "\n" + f"{path}: 1 finding; the rest shows when these are mended\n" in capsys.readouterr().out


def test_lint_takes_a_folder_and_says_what_to_do_with_a_text(tmp_path, capsys):
    folder = tmp_path / "solutions"
    for name in ("b", "a"):
        write_notebook(folder / f"{name}.ipynb", sound_cells())
    assert cli.main(["lint", str(folder), "--no-run"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{folder / 'a.ipynb'}: nothing") and second.startswith(
        f"{folder / 'b.ipynb'}: nothing"
    )

    assert cli.main(["lint", str(tmp_path), "--no-run"]) == 2
    assert f"holds no notebooks (*.ipynb); did you mean {folder}?" in capsys.readouterr().err
    (tmp_path / "a.py").write_text("# %%\n")
    assert cli.main(["lint", str(tmp_path / "a.py"), "--no-run"]) == 2
    assert "make the notebook of it, and lint that: jupytext --to ipynb" in capsys.readouterr().err
