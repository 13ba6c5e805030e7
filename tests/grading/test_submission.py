"""Reading what learners hand in: the answers in it, or a sentence that says what it is instead."""

import json
import os

import pytest

from coursekit.grading.exercise.notebook import BadNotebook, read_cells
from coursekit.grading.exercise.submission import find, is_empty, read_answers

ANSWER = "def double(x):\n    return x + x"


def edit(path, change):
    notebook = json.loads(path.read_text())
    change(notebook)
    path.write_text(json.dumps(notebook))
    return path


def test_reads_answers_by_id(hand_in, key, tmp_path):
    path = hand_in(tmp_path / "00_small.ipynb", {"double": ANSWER})
    answers = read_answers(path, key)
    assert answers.sources["double"] == ANSWER
    assert is_empty(answers.sources["total"], key.tasks["total"].solution)
    assert not is_empty(answers.sources["double"], key.tasks["double"].solution)
    assert answers.notes == ()


def test_reads_answers_whose_ids_an_editor_renewed(hand_in, key, tmp_path):
    path = hand_in(tmp_path / "a.ipynb", {"double": ANSWER})
    edit(path, lambda n: [c.update(id=f"new{i}") for i, c in enumerate(n["cells"])])
    assert read_answers(path, key).sources["double"] == ANSWER


def test_metadata_decides_nothing_but_which_task(hand_in, key, tmp_path):
    def lie(notebook):
        for cell in notebook["cells"]:
            if cell["id"].startswith("check-"):
                cell["metadata"]["coursekit"] = {"role": "answer", "task": "double", "points": 100}

    path = edit(hand_in(tmp_path / "a.ipynb", {"double": ANSWER}), lie)
    assert read_answers(path, key).sources["double"] == ANSWER


def test_reads_answers_where_an_editor_took_ids_and_metadata(hand_in, key, tmp_path):
    def strip(notebook):
        notebook["metadata"] = {}
        for cell in notebook["cells"]:
            cell["metadata"] = {}
            del cell["id"]

    path = edit(hand_in(tmp_path / "mine.IPYNB", {"double": ANSWER}), strip)
    assert read_answers(path, key).sources["double"] == ANSWER
    assert find(tmp_path, key).path == path


def test_an_answer_in_a_copy_of_its_cell_is_found(hand_in, key, tmp_path):
    def copy(notebook):
        cell = next(c for c in notebook["cells"] if c["id"] == "answer-double")
        notebook["cells"].append(cell | {"id": "copy", "source": ANSWER})

    path = edit(hand_in(tmp_path / "a.ipynb", {}), copy)
    assert read_answers(path, key).sources["double"] == ANSWER


def test_a_deleted_cell_is_missing(hand_in, key, tmp_path):
    path = hand_in(tmp_path / "a.ipynb", {})
    edit(path, lambda n: n.update(cells=[c for c in n["cells"] if c["id"] != "answer-total"]))
    assert "total" not in read_answers(path, key).sources


def test_a_second_copy_of_an_answer_is_remarked_on(hand_in, key, tmp_path):
    def double_up(notebook):
        for i, cell in enumerate(notebook["cells"]):
            cell["id"] = f"new{i}"
        answer = next(
            c for c in notebook["cells"] if c["metadata"].get("coursekit", {}).get("task") == "double"
        )
        notebook["cells"] += [
            c | {"id": "copy"} for c in notebook["cells"] if "def double" in str(c["source"])
        ]
        assert answer

    path = edit(hand_in(tmp_path / "a.ipynb", {"double": ANSWER}), double_up)
    answers = read_answers(path, key)
    assert answers.sources["double"] == ANSWER
    assert "2 cells claim to answer 'double'" in answers.notes[0]


def test_cells_of_ones_own_are_remarked_on(hand_in, key, tmp_path):
    own = {"cell_type": "code", "id": "x", "metadata": {}, "source": ["helper = 1\n"], "outputs": []}
    path = edit(hand_in(tmp_path / "a.ipynb", {}), lambda n: n["cells"].append(own))
    assert "1 code cell of your own was not run" in read_answers(path, key).notes[0]


BAD = {
    "empty": b"",
    "truncated": b'{"nbformat": 4, "cells": [',
    "not text": b"\xff\xfe\x00\x01",
    "a list": b"[]",
    "no cells": b'{"nbformat": 4}',
    "cells of a wrong type": b'{"nbformat": 4, "cells": {"a": 1}}',
    "a wrong format": b'{"nbformat": 99, "cells": []}',
    "no format": b'{"cells": []}',
    "deep": b'{"nbformat": 4, "cells": ' + b"[" * 100_000,
    "a word": b"hello",
    "a PDF": b"%PDF-1.7\n\x9c\x00",
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_is_no_notebook_says_so(tmp_path, content):
    path = tmp_path / "00_small.ipynb"
    path.write_bytes(content)
    with pytest.raises(BadNotebook, match=r"00_small\.ipynb"):
        list(read_cells(path))


def test_odd_cells_are_passed_over(tmp_path):
    odd = [
        None,
        1,
        [],
        {},
        {"cell_type": "code"},
        {"cell_type": "code", "source": 5, "id": 7, "metadata": "x"},
    ]
    odd += [{"cell_type": "raw", "source": "x"}, {"cell_type": "code", "source": ["a\n", None, "b"]}]
    odd += [{"cell_type": "code", "source": "c", "metadata": {"coursekit": "x", "n": float("nan")}}]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"nbformat": 4, "cells": odd}))
    assert [cell.source for cell in read_cells(path)] == ["", "", "a\nb", "c"]


def test_links_folders_and_giants_are_not_read(tmp_path):
    (tmp_path / "real.ipynb").write_text('{"nbformat": 4, "cells": []}')
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "real.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    with open(tmp_path / "giant.ipynb", "wb") as file:
        os.truncate(file.fileno(), 30_000_000)
    for name, words in {"link": "is a link", "folder": "is not a file", "giant": "30 MB"}.items():
        with pytest.raises(BadNotebook, match=words):
            list(read_cells(tmp_path / f"{name}.ipynb"))


def test_finds_the_file_by_name_then_by_what_it_says_it_is(hand_in, key, tmp_path):
    assert "the folder is empty" in find(tmp_path, key).message
    hand_in(tmp_path / "final (2).ipynb", {})
    found = find(tmp_path, key)
    assert found.path.name == "final (2).ipynb" and "was called" in found.message
    hand_in(tmp_path / "final (3).ipynb", {})
    assert find(tmp_path, key).status == "duplicated"
    hand_in(tmp_path / "00_small.ipynb", {})
    found = find(tmp_path, key)
    assert found.path.name == "00_small.ipynb" and "final (2).ipynb, final (3).ipynb was not" in found.message


def test_says_what_stands_there_instead(hand_in, key, tmp_path):
    (tmp_path / "homework.pdf").write_bytes(b"%PDF")
    hand_in(tmp_path / "other.ipynb", {}, metadata={"coursekit": {"exercise": "99_other"}})
    message = find(tmp_path, key).message
    assert "homework.pdf (no readable notebook)" in message and "other.ipynb (of another exercise)" in message
