"""Files that are no notebooks, and names that lead elsewhere: a row each, and a sentence that says why."""

import json
import os
import pickle
import time
import zipfile
from pathlib import Path

import pytest

from coursekit.grading.course.classroom import Options, grade_class, read_class
from coursekit.grading.course.gradebook import Gradebook
from coursekit.grading.exercise.key import load_key
from coursekit.grading.exercise.notebook import MAX_MB, MAX_VALUES
from coursekit.grading.exercise.submission import read_answers
from tests.grading.attacks.attack import ALL, HONEST, NAME, Attack, answer_cell, exercise, write_key

FILE = f"{NAME}.ipynb"
BROKEN = {"points": (), "status": "broken"}


def content(data: bytes, says: str, **options) -> Attack:
    """A learner's file with these bytes."""
    return Attack(write=lambda folder: (folder / FILE).write_bytes(data), says=says, **(BROKEN | options))


def changed(change, says: str = "", **options) -> Attack:
    return Attack(HONEST, change=change, says=says, **options)


def text(data: str, says: str) -> Attack:
    return content(data.encode(), says)


def _linked(folder: Path) -> None:
    (folder / "mine.txt").write_text("{}")
    (folder / FILE).symlink_to(folder / "mine.txt")


def _linked_out(folder: Path) -> None:
    (folder / FILE).symlink_to("/etc/passwd")


def _zipped(folder: Path) -> None:
    with zipfile.ZipFile(folder / FILE, "w") as archive:
        archive.writestr("a.ipynb", "{}" * 1000)


def _large(folder: Path) -> None:
    with open(folder / FILE, "wb") as file:
        os.truncate(file.fileno(), 30_000_000)


def _recoded(encoding: str):
    def write(folder: Path) -> None:
        folder.joinpath(FILE).write_bytes(json.dumps(_notebook(folder)).encode(encoding))

    return write


def _notebook(folder: Path) -> dict:
    """The exercise, solved, where only a folder is at hand: the key stands beside the class."""
    return exercise(folder.parents[1] / "solutions", {"double": HONEST})


def _many_notebooks(folder: Path) -> None:
    for number in range(200):
        (folder / f"copy {number}.ipynb").write_text(json.dumps(_notebook(folder) | {"metadata": {}}))


def _of_format_3(notebook: dict) -> None:
    cells = [
        {"cell_type": "code", "input": "".join(c["source"]), "language": "python", "outputs": []}
        for c in notebook["cells"]
    ]
    notebook.clear()
    notebook |= {"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": cells}]}


def _same_ids(notebook: dict) -> None:
    for cell in notebook["cells"]:
        if not cell["id"].startswith("answer-"):
            cell["id"] = "answer-double"


def _odd_cells(notebook: dict) -> None:
    notebook["cells"] += [
        None,
        1,
        "cell",
        [],
        {"cell_type": "spam"},
        {"cell_type": ["code"]},
        {"cell_type": "code"},
    ]
    notebook["cells"] += [{"cell_type": "code", "source": {"a": 1}, "id": [], "metadata": []}]


def _claims(notebook: dict) -> None:
    cell = answer_cell(notebook)
    notebook["cells"] += [
        cell | {"id": f"answer-{task}"} for task in ("double", "total") for _ in range(20_000)
    ]
    notebook["cells"] += [cell | {"id": "x"} for _ in range(20_000)]


VALUES = '{"nbformat": 4, "cells": [' + "[]," * (MAX_VALUES // 2) + "[]]}"

ATTACKS = {
    "an empty file": content(b"", "breaks off or is damaged", quick=True),
    "a notebook cut off": text('{"nbformat": 4, "cells": [{"cell_ty', "breaks off or is damaged"),
    "a list": text("[]", "its JSON is a list"),
    "a number": text("4", "its JSON is a int"),
    "not a number": text("NaN", "its JSON is a float"),
    "no cells": text('{"nbformat": 4}', "no list of cells"),
    "cells by name": text('{"nbformat": 4, "cells": {"a": 1}}', "no list of cells"),
    "format 5": text('{"nbformat": 5, "cells": []}', "format 4 is wanted, and this says 5"),
    "format 4, as a text": text('{"nbformat": "4", "cells": []}', "format 4 is wanted, and this says '4'"),
    "no format": text('{"cells": []}', "format 4 is wanted, and this says None"),
    "a format that is a list": text(
        '{"nbformat": ' + "[" * 900 + "]" * 900 + "}", "this says something else"
    ),
    "a format that is a book": text('{"nbformat": "' + "x" * 10**6 + '"}', "this says 'x{1,50}$"),
    "format 3 that is none": text('{"nbformat": 3, "worksheets": 7}', "format 4 is wanted"),
    "bytes that are no text": content(b"\xff\xfe\x00\x01", "is not UTF-8 text"),
    "UTF-16": Attack(write=_recoded("utf-16"), says="is not UTF-8 text", **BROKEN),
    "a pickle": content(pickle.dumps({"nbformat": 4, "cells": []}), "is not UTF-8 text|damaged"),
    "a zip": Attack(write=_zipped, says="is not UTF-8 text|damaged", **BROKEN),
    "a PDF": content(b"%PDF-1.7\n\x9c\x00", "is not UTF-8 text"),
    "zero bytes": content(bytes(1000), "damaged"),
    "lists 100,000 deep": text('{"nbformat": 4, "cells": ' + "[" * 100_000, "damaged"),
    "objects 100,000 deep": text('{"a":' * 100_000, "damaged"),
    "a number of 10,000 digits": text('{"nbformat": 4, "n": ' + "9" * 10_000 + ', "cells": []}', "damaged"),
    "values without number": text(VALUES, "too many values .* clear the outputs"),
    "a file of 30 MB": Attack(write=_large, says=f"30 MB; more than {MAX_MB} MB is not read", **BROKEN),
    "a link to a file of its own": Attack(write=_linked, says="is a link", **BROKEN),
    "a link out of its folder": Attack(write=_linked_out, says="is a link", **BROKEN),
    "a link to nothing": Attack(
        write=lambda folder: (folder / FILE).symlink_to("nowhere"), says="is a link", **BROKEN
    ),
    "a folder of that name": Attack(
        write=lambda folder: (folder / FILE).mkdir(), says="is not a file", **BROKEN
    ),
    "a pipe of that name": Attack(
        write=lambda folder: os.mkfifo(folder / FILE), says="is not a file", **BROKEN
    ),
    "nothing at all": Attack(
        write=lambda folder: None, says="the folder is empty", points=(), status="missing"
    ),
    "two hundred copies": Attack(
        write=_many_notebooks, says="all claim to be", points=(), status="duplicated"
    ),
    "format 3": changed(_of_format_3, points=ALL, status="right"),
    "a mark of byte order": Attack(write=_recoded("utf-8-sig"), points=(1, 0, 0), status="right"),
    "one id for all cells": changed(_same_ids, "'double' is not defined", status="wrong"),
    "cells that are none": changed(_odd_cells, points=ALL, status="right"),
    "60,000 cells that claim to be answers": changed(_claims, points=ALL, status="right"),
    "infinity in the metadata": changed(
        lambda n: n["metadata"].update(a=float("inf"), b=float("nan"), coursekit=float("-inf")),
        points=ALL,
        status="right",
    ),
    "an exercise named after a path": changed(
        lambda n: n["metadata"]["coursekit"].update(exercise="../../etc/passwd"), points=ALL, status="right"
    ),
    "zero bytes in a source": changed(
        lambda n: answer_cell(n).update(source=HONEST + "\n# \0"),
        "null byte|SyntaxError|ValueError",
        status="error",
    ),
    "half a character in a source": changed(
        lambda n: answer_cell(n).update(source=HONEST + "\n# \ud800"), points=ALL, status="right"
    ),
    "100,000 cells": changed(
        lambda n: n["cells"].extend([{"cell_type": "code", "source": "x"}] * 100_000),
        points=ALL,
        status="right",
    ),
    "sources as lists of odd things": changed(
        lambda n: answer_cell(n).update(source=[None, *HONEST.splitlines(True), 3, []]),
        points=ALL,
        status="right",
    ),
}


def test_a_row_and_a_sentence(attack, graded):
    ATTACKS[attack].verify(graded[attack])


@pytest.mark.slow
def test_neighbours_keep_their_marks(neighbours):
    assert [result.points for result in neighbours] == [sum(ALL)] * 2


NAMES = (
    "~", "-rf", "$(touch x)", "a;b", "%s{0}", "<b onclick=x>", "line\nbreak", "=1+1", "\x1b[2J", "CON",
    "😀", " space ", "x" * 255, "a\\b", "null\u202egnp", "'; DROP TABLE mark; --",
)  # fmt: skip


def test_names_lead_nowhere(tmp_path, needs_sandbox):
    """Each learner's folder has its row, whatever it is called; links are strangers."""
    write_key(tmp_path / "solutions")
    group = tmp_path / "class"
    for name in NAMES:
        (group / name).mkdir(parents=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / FILE).write_text("{}")
    (group / "linked").symlink_to(elsewhere)
    with Gradebook(tmp_path / "book.sqlite") as gradebook:
        found = read_class(group, tmp_path / "solutions", [NAME])
        rows = list(grade_class(found, gradebook, Options(workers=1)))
        assert [row.learner for row in gradebook.rows()] == sorted(NAMES)
    assert {row.result.status for row in rows} == {"missing"}
    assert [path.name for path in found.strays] == ["linked"]
    assert sorted(os.listdir(tmp_path)) == ["book.sqlite", "class", "elsewhere", "solutions"]


def test_reading_takes_time_in_proportion(tmp_path):
    """A notebook of many cells that claim the same answer is read within seconds, not hours."""
    write_key(tmp_path / "solutions")
    key = load_key(tmp_path / "solutions" / FILE)
    notebook = exercise(tmp_path / "solutions", {"double": HONEST})
    _claims(notebook)
    path = tmp_path / FILE
    path.write_text(json.dumps(notebook))
    started = time.monotonic()
    read_answers(path, key)
    assert time.monotonic() - started < 20
