"""What a learner gets: everything they need, nothing they must not see, and solving only adds lines."""

import difflib
import json

import nbformat
import pytest

from coursekit.grading.exercise.key import BEGIN, END, load_key
from coursekit.grading.exercise.notebook import BadNotebook, exercise_of
from coursekit.grading.exercise.release import PLACE, release, release_all, skeleton
from tests.grading.conftest import code, key_cells, write_notebook


def test_hides_answers_wrongs_and_judging(solutions):
    text = release(solutions / "00_small.ipynb")
    for secret in (BEGIN, END, "return 2 *", "emit(", "** 2", "judge"):
        assert secret not in text
    assert text.count(PLACE) == 3 and text.count("with Check(") == 3


def test_is_valid_has_no_outputs_and_the_same_twice(solutions):
    text = release(solutions / "00_small.ipynb")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert all(
        not cell.outputs and cell.execution_count is None for cell in notebook.cells if "outputs" in cell
    )
    assert text == release(solutions / "00_small.ipynb")


def test_folds_the_checks_away(solutions):
    notebook = nbformat.reads(release(solutions / "00_small.ipynb"), as_version=4)
    folded = [cell.id for cell in notebook.cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert folded == ["check-double", "check-total", "check-mean"]


def test_says_its_points_once(solutions):
    text = release(solutions / "00_small.ipynb")
    assert "## Task 1: double (1 point)" in text and "## Task 3: mean (3 points)" in text


def test_solving_only_adds_lines(key):
    for task in key.tasks.values():
        before = skeleton(task.solution).splitlines()
        after = [PLACE if line.strip() == BEGIN else line for line in task.solution.splitlines()]
        kept = [line.strip() for line in before]
        removed = [d for d in difflib.ndiff(kept, [line.strip() for line in after]) if d.startswith("- ")]
        assert not removed


def test_release_all_writes_only_what_changed(solutions, tmp_path):
    assert [p.name for p in release_all(solutions, tmp_path / "exercises")] == ["00_small.ipynb"]
    assert release_all(solutions, tmp_path / "exercises") == []
    assert exercise_of(tmp_path / "exercises" / "00_small.ipynb") == "00_small"
    notebook = json.loads((tmp_path / "exercises" / "00_small.ipynb").read_text())
    assert "solutions/00_small.ipynb" in notebook["metadata"]["coursekit"]["generated"]


def copied(cell):
    own = cell.metadata.coursekit
    return code(cell.source, **own)


def break_cells(change):
    cells = key_cells()
    change(cells)
    return cells


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop(6), "task 'double' needs one judge cell and has 0"),
        (lambda c: c.append(copied(c[6])), "needs one judge cell and has 2"),
        (lambda c: c[3].metadata.coursekit.update(points=0), "needs points"),
        (lambda c: c[3].metadata.coursekit.pop("points"), "needs points"),
        (lambda c: c[3].update(source="def double(x): return 2 * x"), "BEGIN SOLUTION"),
        (lambda c: c[3].metadata.coursekit.update(role="anwser"), "role 'anwser' is not one of"),
        (
            lambda c: c[3].metadata.coursekit.update(needs=["mean"]),
            "'double' needs mean, which does not stand before",
        ),
        (lambda c: c.append(code("1", "given", "other")), "for task 'other', which has no answer"),
        (lambda c: c.append(copied(c[3])), "a task name of its own"),
    ],
)
def test_a_key_that_is_not_whole_says_what_is_missing(tmp_path, change, words):
    path = write_notebook(tmp_path / "key.ipynb", break_cells(change))
    with pytest.raises(BadNotebook, match=words):
        load_key(path)
