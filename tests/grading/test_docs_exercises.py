"""docs/exercises.md does what it says: its example and its commands, run as they are printed in an empty folder."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from coursekit.grading.course.gradebook import read_rows
from coursekit.grading.exercise.key import METADATA, ROLES, Task, load_key
from coursekit.grading.exercise.release import PLACE
from coursekit.grading.kernels import sandbox
from coursekit.grading.marking.grade import expected
from coursekit.grading.marking.notebook import mark_file

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "exercises.md").read_text(encoding="utf-8")
EXAMPLE, RACE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
NAME = "00_means"


def shell(commands: str, folder: Path) -> str:
    """What the commands print. They stop at the first that fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-eu", "-c", commands],
        cwd=folder,
        env=os.environ | {"PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def table(heading: str) -> list[list[str]]:
    """The rows of the last table below a heading, cell by cell."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.split(r"\n\|[-|]+\|\n", section)[-1].split("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows.splitlines()]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """The folder after the first commands of the page, and what they printed."""
    folder = tmp_path_factory.mktemp("course")
    assert f"solutions/{NAME}.py" in PAGE
    (folder / "solutions").mkdir()
    (folder / "solutions" / f"{NAME}.py").write_text(EXAMPLE, encoding="utf-8")
    return folder, shell(COMMANDS[0], folder)


def test_the_example_is_clean_and_earns_its_points(course):
    assert f"solutions/{NAME}.ipynb: nothing to mend in 2 tasks, 5 points\n" in course[1]
    assert f"{NAME}: 5 of 5 points" in course[1]


def test_it_is_released_without_its_solutions(course):
    folder, printed = course
    assert f"wrote {(folder / 'exercises').resolve()}" in printed
    text = (folder / "exercises" / f"{NAME}.ipynb").read_text(encoding="utf-8")
    for hidden in ("SOLUTION", "len(values)", "// len", "math.sqrt", "rng", "judge"):
        assert hidden not in text
    assert text.count(PLACE) == 2 and "## Task 1: the mean (2 points)" in text
    assert json.loads(text)["metadata"]["coursekit"]["exercise"] == NAME


def test_each_wrong_answer_of_the_example_earns_its_hint_and_nothing_else(course):
    folder, _ = course
    key = load_key(folder / "solutions" / f"{NAME}.ipynb")
    wanted = expected(key, seed=2)
    for name, task in key.tasks.items():
        for wrong in task.wrongs:
            notebook = json.loads((folder / "exercises" / f"{NAME}.ipynb").read_text(encoding="utf-8"))
            for cell in notebook["cells"]:
                if cell["id"].startswith("answer-"):
                    own = cell["id"] == f"answer-{name}"
                    cell["source"] = wrong.source if own else key.tasks[cell["id"][len("answer-") :]].solution
            path = folder / "mine.ipynb"
            path.write_text(json.dumps(notebook), encoding="utf-8")
            (mark,) = [mark for mark in mark_file(key, path, wanted, 2).marks if mark.task == name]
            assert mark.points == 0 and wrong.hint in mark.hint


@pytest.mark.slow
def test_the_class_is_graded(course):
    if sandbox.missing():
        pytest.skip(sandbox.missing())
    folder, _ = course
    printed = shell(COMMANDS[1], folder)
    rows = {row.learner: row.result for row in read_rows(folder / "marks.sqlite")}
    assert {name: (result.points, result.possible) for name, result in rows.items()} == {
        "ada": (5, 5),
        "bob": (0, 5),
    }
    assert {mark.status for mark in rows["bob"].marks} == {"empty"}
    assert "reports" in printed and (folder / "reports" / "index.html").is_file()
    assert len(COMMANDS) == 2, "commands that nobody runs here"


@pytest.mark.slow
def test_the_race_can_be_added_where_the_page_says(course, tmp_path):
    (tmp_path / "solutions").mkdir()
    before, marker, after = EXAMPLE.partition('# %% [markdown] coursekit={"role": "given", "task": "spread"}')
    text = f"{before}{RACE}\n{marker}{after}".replace("points: 5", "points: 7")
    (tmp_path / "solutions" / f"{NAME}.py").write_text(text, encoding="utf-8")
    printed = shell("\n".join(COMMANDS[0].splitlines()[:2]), tmp_path)
    assert "nothing to mend in 2 tasks, 7 points" in printed


def test_lint_says_what_the_page_says_it_says(course):
    folder = course[0] / "misspelt"
    (folder / "solutions").mkdir(parents=True)
    text = EXAMPLE.replace('"points": 2', '"piont": 2')
    (folder / "solutions" / f"{NAME}.py").write_text(text, encoding="utf-8")
    convert, lint, *_ = COMMANDS[0].splitlines()
    (printed,) = re.findall(r"^```text\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert shell(f"{convert} >&2\n{lint} || test $? = 1", folder) == printed


def test_the_tables_name_every_role_and_every_key():
    assert sorted(row[0].strip("`") for row in table("Roles")) == sorted(ROLES)
    listed = {
        (role.strip("`"), row[0].strip("`")) for row in table("Metadata") for role in row[1].split(", ")
    }
    known = {(role, name) for role, names in METADATA.items() for name in names}
    assert listed == known | {("every cell", "role"), ("every cell", "task")}


def test_the_defaults_are_those_of_a_task():
    told = {row[0].strip("`"): row[3].strip("`") for row in table("Metadata")}
    fields = {field.name: field.default for field in dataclasses.fields(Task)}
    assert float(told["none"]) == fields["race_none"]
    for name in ("rtol", "atol", "timeout"):
        assert float(told[name]) == fields[name]
    assert fields["forbid"] == fields["allow"] == fields["needs"] == ()
    assert told["forbid"] == told["allow"] == told["needs"] == "[]"


def test_contributing_leads_here():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert "(docs/exercises.md)" in text and "| role |" not in text
