"""Lessons, exercises and solutions as files: in step with each other, whole, and readable unexecuted."""

import json
from pathlib import Path

import nbformat
import pytest

from coursekit import claims, syllabus
from coursekit.grading.exercise.key import load_key
from coursekit.grading.exercise.release import release
from coursekit.grading.marking.proof import prove

ROOT = Path(__file__).parents[1]
LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))
KEYS = sorted((ROOT / "solutions").glob("*.ipynb"))
EVERY = [*LESSONS, *KEYS, *sorted((ROOT / "exercises").glob("*.ipynb"))]
PARTS = ("## What to remember", "## Glossary", "## References")


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def own(cell) -> dict:
    return cell.metadata.get("coursekit", {})


def test_each_lesson_is_in_the_syllabus_and_has_its_exercise():
    names = {lesson.name for lesson in syllabus.LESSONS}
    assert {path.stem for path in LESSONS} <= names
    assert [path.stem for path in KEYS] == [path.stem for path in LESSONS]


def test_the_readme_shows_the_syllabus():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert syllabus.with_table(text) == text, "run python -m coursekit.syllabus"


@pytest.mark.parametrize("path", KEYS, ids=lambda p: p.stem)
def test_the_exercise_is_in_step_with_its_key(path):
    text = (ROOT / "exercises" / path.name).read_text(encoding="utf-8")
    assert text == release(path), "run make release"


@pytest.mark.parametrize("path", KEYS, ids=lambda p: p.stem)
def test_the_key_grades(path):
    assert prove(load_key(path), seed=1) == []


@pytest.mark.parametrize("path", KEYS, ids=lambda p: p.stem)
def test_the_exercise_has_four_to_six_tasks_with_hints(path):
    key = load_key(path)
    assert 4 <= len(key.tasks) <= 6
    for name in key.tasks:
        text = "".join(c.source for c in key.cells if c.task == name and c.kind == "markdown")
        assert 1 <= text.count("<details>") == text.count("</details>") <= 3, name


@pytest.mark.parametrize("path", EVERY, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_file_is_small_valid_and_without_errors(path):
    assert path.stat().st_size < 1_000_000
    notebook = read(path)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", output.text


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_the_lesson_was_run_from_top_to_bottom(path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "run make notebooks"


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_the_lesson_has_its_parts(path):
    cells = read(path).cells
    text = [cell.source for cell in cells if cell.cell_type == "markdown"]
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    for part in PARTS:
        assert any(f"\n{part}" in f"\n{source}" for source in text), part
    assert len(text) >= 0.7 * len(code)
    assert all(len(source.splitlines()) <= 20 for source in code)
    assert any("predict(" in source or "choose(" in source for source in code)


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_the_lesson_shows_its_claims_and_reaches_a_verdict_on_each(path):
    number = int(path.stem[:2])
    cells = [cell for cell in read(path).cells if cell.cell_type == "code"]
    for claim in claims.load().values():
        if number in claim.lessons:
            about = [cell.source for cell in cells if own(cell).get("claim") == claim.id]
            assert any(f'show("{claim.id}")' in source for source in about), f"{claim.id} is not shown"
            assert any(f'verdict("{claim.id}"' in source.replace("\n    ", "") for source in about), claim.id


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_every_picture_has_words_for_who_does_not_see_it(path):
    for cell in read(path).cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            text = json.dumps(data.get("text/html", "")) + json.dumps(output.get("metadata", {}))
            if "image/png" in data or "<img" in text:
                assert "alt" in text, cell.source
