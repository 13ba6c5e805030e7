"""The page about an instructor's term, carried out: every command on it, in its order."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from coursekit.grading.course.gradebook import read_rows
from coursekit.grading.exercise.key import load_key
from coursekit.grading.exercise.release import release
from coursekit.grading.kernels import sandbox

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "term.md"
KEY = ROOT / "solutions" / "01_complexity.ipynb"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def notebook(answers: dict[str, str]) -> str:
    """The released exercise with these answers."""
    data = json.loads(release(KEY))
    for cell in data["cells"]:
        task = cell["id"].removeprefix("answer-")
        if cell["id"].startswith("answer-") and task in answers:
            cell["source"] = answers[task]
    return json.dumps(data)


@pytest.fixture(scope="module")
def term(tmp_path_factory) -> Path:
    """The folder of an instructor whom three learners sent something, after all commands of the page."""
    if sandbox.missing():
        pytest.skip(sandbox.missing())
    place = tmp_path_factory.mktemp("term")
    (place / "solutions").mkdir()
    shutil.copy(KEY, place / "solutions")
    key = load_key(KEY)
    right = {name: task.solution for name, task in key.tasks.items()}
    wrong = right | {next(iter(right)): next(iter(key.tasks.values())).wrongs[0].source}
    with zipfile.ZipFile(place / "downloads.zip", "w") as archive:
        for who, text in (
            ("Ada Adler_1001", notebook(right)),
            ("Bob Berg_1002", notebook(wrong)),
            ("Eva Ernst_1003", "{"),
        ):
            day = 1 + int(who[-1])
            info = zipfile.ZipInfo(
                f"{who}_assignsubmission_file_/01_complexity.ipynb", (2027, 3, day, 12, 0, 0)
            )
            archive.writestr(info, text)
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for language, text in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if language == "toml":
            (place / "course.toml").write_text(text, encoding="utf-8")
        if language == "sh":
            done = subprocess.run(
                ["bash", "-ec", text], cwd=place, env=environment, capture_output=True, text=True, timeout=300
            )
            assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    return place


pytestmark = pytest.mark.slow


def test_the_hand_out_is_the_exercise(term):
    handed = (term / "handout" / "01_complexity.ipynb").read_text(encoding="utf-8")
    cells, whole = (json.loads(text)["cells"] for text in (handed, release(KEY)))
    assert cells[1:] == whole[1:] and "BEGIN SOLUTION" not in handed
    assert "hand it in" in str(cells[0]) and "coursekit check" in str(whole[0])


def test_the_marks_are_what_was_earned(term):
    possible = load_key(KEY).points
    rows = {row.learner: row for row in read_rows(term / "marks.sqlite")}
    assert set(rows) == {"Ada Adler", "Bob Berg", "Eva Ernst"}
    assert rows["Ada Adler"].result.points == possible
    assert 0 < rows["Bob Berg"].result.points < possible
    assert rows["Eva Ernst"].result.status == "broken"
    assert {row.sandbox for row in rows.values()} == {"bubblewrap"} and {
        row.run for row in rows.values()
    } == {2}
    assert {row.seed for row in read_rows(term / "second-look.sqlite")} == {7}


def test_lateness_counts_and_an_extension_does_too(term):
    with open(term / "marks.csv", encoding="utf-8", newline="") as file:
        found = {line["learner"]: line for line in csv.DictReader(file)}
    possible = load_key(KEY).points
    after = {name: float(line["points_after_rule"]) for name, line in found.items()}
    assert after["Ada Adler"] == pytest.approx(0.9 * possible), "handed in within a day after the due time"
    assert after["Bob Berg"] == float(found["Bob Berg"]["points"]), "the extension holds"


def test_there_is_a_page_for_each_and_one_for_the_instructor(term):
    pages = {path.name for path in (term / "reports").glob("*.html")}
    assert "index.html" in pages and len(pages) == 4
    assert (term / "moodle.csv").read_text(encoding="utf-8").count("\n") >= 4
