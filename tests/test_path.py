"""A learner's and an instructor's whole path, with the real exercises: hand in, grade a class, read the marks."""

import json
import shutil
from pathlib import Path

import pytest

from coursekit import cli
from coursekit.grading.course.gradebook import Gradebook
from coursekit.grading.exercise.key import load_key
from coursekit.grading.report.files import page_name

ROOT = Path(__file__).parents[1]
# Two of the exercises, one with a race; that every key marks rightly is proven key by key in test_notebooks.
KEYS = [ROOT / "solutions" / f"{name}.ipynb" for name in ("01_complexity", "05_convolution")]


def solve(exercise: Path, answers: dict[str, str], target: Path) -> None:
    """The released exercise with these answers written into its cells, as a learner saves it."""
    notebook = json.loads(exercise.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        task = cell["metadata"].get("coursekit", {}).get("task")
        if cell["id"].startswith("answer-") and task in answers:
            cell["source"] = answers[task]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(notebook), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.alone
def test_two_learners_from_hand_in_to_marks(tmp_path):
    group, book = tmp_path / "class", tmp_path / "marks.sqlite"
    expected = {}
    for path in KEYS:
        key, exercise = load_key(path), ROOT / "exercises" / path.name
        all_right = {name: task.solution for name, task in key.tasks.items()}
        first = next(iter(key.tasks))
        one_wrong = all_right | {first: key.tasks[first].wrongs[0].source}
        solve(exercise, all_right, group / "ada" / path.name)
        solve(exercise, one_wrong, group / "bob" / path.name)
        expected[("ada", key.name)] = key.points
        expected[("bob", key.name)] = key.points - key.tasks[first].points

    assert cli.main(["grade", str(group), "--gradebook", str(book)]) == 0
    with Gradebook(book) as gradebook:
        assert {(r.learner, r.result.exercise): r.result.points for r in gradebook.rows()} == expected
    assert cli.main(["report", "--gradebook", str(book), "--out", str(tmp_path / "pages")]) == 0
    assert "wanted" in (tmp_path / "pages" / page_name("bob")).read_text()


@pytest.mark.slow
def test_check_tells_solved_from_unsolved(tmp_path, capsys):
    path = KEYS[0]
    assert cli.main(["check", str(path)]) == 0
    copy = shutil.copy(ROOT / "exercises" / path.name, tmp_path)
    assert cli.main(["check", str(copy)]) == 1
    assert "nothing was written yet" in " ".join(capsys.readouterr().out.split())
