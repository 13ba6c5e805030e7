"""The figures of the threat model are those of the grader."""

import re
from dataclasses import asdict
from pathlib import Path

from coursekit.grading.exercise.notebook import MAX_MB
from coursekit.grading.exercise.submission import MAX_CHARACTERS
from coursekit.grading.kernels.limits import Limits
from tests.grading.attacks.test_memory import MOST_MB

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "grading.md"
LIMIT = {
    "folder_mb": r"memory of ([\d,]+) MB at `/tmp`",
    "shared_mb": r"and ([\d,]+) MB at `/dev/shm`",
    "files": r"([\d,]+) files",
    "file_mb": r"each up to ([\d,]+) MB",
    "memory_mb": r"\| ([\d,]+) MB in all its processes",
    "address_mb": r"([\d,]+) MB of addresses",
    "processes": r"\| processes and threads \| ([\d,]+) \|",
    "cpu_s": r"([\d,]+) s of processor time",
    "output_mb": r"\| output \| ([\d,]+) MB",
    "messages": r"([\d,]+) messages a cell",
}


def test_every_limit_stands_on_the_page_as_it_is():
    page = PAGE.read_text(encoding="utf-8")
    found = {name: int(re.search(form, page)[1].replace(",", "")) for name, form in LIMIT.items()}
    assert found == asdict(Limits())


def test_the_grader_s_own_figures_stand_there_too():
    page = PAGE.read_text(encoding="utf-8")
    assert f"notebooks of {MAX_MB} MB at most, and answers of {MAX_CHARACTERS:,} characters" in page
    assert f"below {MOST_MB} MB" in page


def test_the_suite_it_names_is_there():
    page = PAGE.read_text(encoding="utf-8")
    (suite,) = re.findall(r"pytest -n 2 --dist loadfile (\S+)", page)
    modules = {path.stem for path in (ROOT / suite).glob("test_*.py")}
    assert modules == set(re.findall(r"^\| `(test_\w+)` \|", page, re.MULTILINE))
