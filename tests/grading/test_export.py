"""Marks as tables: what stands in them, and that Canvas's and Moodle's own readers would find it."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from coursekit import cli
from coursekit.grading.collecting.collect import collect
from coursekit.grading.course import export
from coursekit.grading.course.export import BadExport
from coursekit.grading.course.gradebook import RACING, Gradebook, Row, read_rows
from coursekit.grading.course.records import read_records
from coursekit.grading.course.settings import Course, LateRule
from coursekit.grading.marking.result import Mark, Result
from tests.grading.test_collect import notebook, pack

DUE = datetime(2026, 12, 1, 12, tzinfo=UTC)
COURSE = Course(due={"01_x": DUE}, late=LateRule(percent_per_day=25))
EVIL = "=cmd|' C calc'!A1"


def marks(points: int, message: str = "right") -> tuple[Mark, ...]:
    return (
        Mark(
            "one",
            "Task 1: one",
            points,
            4,
            "right" if points else "wrong",
            message,
            3,
            5,
            hint="Count again.",
        ),
        Mark("two", "Task 2: <two>", 0, 2, "wrong", '<script>alert("x")</script>'),
    )


def row(learner, exercise="01_x", points=4, status="graded", possible=6, hours=None, message=""):
    handed_in = None if hours is None else (DUE + timedelta(hours=hours)).isoformat()
    own = marks(points) if status == "graded" else ()
    result = Result(exercise, status, message, own, possible=possible)
    return Row(learner, result, "2026-12-05T10:00:00+00:00", 7, "bubblewrap", handed_in=handed_in)


@pytest.fixture
def rows():
    return [
        row("Ada, Countess", hours=-1),
        row("Ada, Countess", "02_y", 0),
        row(EVIL, hours=2),
        row("late", hours=30),
        row("nobody", status="missing", message="there is no 01_x.ipynb"),
        row("unlucky", status="failed", message="grading it failed; tell the maintainers"),
        row("Åsa \u202eRTL", "02_y", 4),
    ]


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def by_name(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_tidy_has_a_line_for_each_row_and_the_points_after_the_rule(rows):
    lines = by_name(export.tidy(rows, COURSE).text)
    assert [(line["learner"], line["exercise"]) for line in lines] == [
        (row.learner if row.learner != EVIL else f"'{EVIL}", row.result.exercise) for row in rows
    ]
    found = {line["learner"]: line for line in lines if line["exercise"] == "01_x"}
    late = found["late"]
    assert (late["points"], late["possible"], late["points_after_rule"], late["late_hours"]) == (
        "4",
        "6",
        "2",
        "30",
    )
    assert "1 day and 6 hours after the due time: 50 %" in late["remark"]
    assert found[f"'{EVIL}"]["points_after_rule"] == "3" and found["Ada, Countess"]["late_hours"] == ""
    assert late["seed"] == "7" and late["sandbox"] == "bubblewrap" and late["graded"].startswith("2026-12-05")
    assert found["nobody"]["status"] == "missing" and found["nobody"]["message"] == "there is no 01_x.ipynb"


def test_detail_has_a_line_for_each_task(rows):
    lines = by_name(export.detail(rows).text)
    assert len(lines) == sum(len(row.result.marks) for row in rows) == 10
    first = lines[0]
    assert (first["learner"], first["task"], first["points"], first["possible"]) == (
        "Ada, Countess",
        "one",
        "4",
        "4",
    )
    assert (first["cases_right"], first["cases"], first["hint"]) == ("3", "5", "Count again.")


def test_no_cell_is_a_formula(rows, collected):
    evil = [
        Row(name, Result("01_x", "graded", "@sum(1)", (Mark("t", "+1", 1, 1, "right", "-1"),), possible=1))
        for name in ("=1", "+1", "-1", "@x", "\t=1", "\r=1", "  =1", "＝1", "'=1", "=1\n+1", '"=1')
    ]
    texts = [
        export.tidy(evil, COURSE),
        export.detail(evil),
        export.canvas(evil, COURSE, collected({}), {"01_x": "=t"}),
    ]
    texts.append(export.moodle(evil, COURSE, collected({})))
    for made in texts:
        for line in table(made.text):
            assert not [cell for cell in line if cell.strip()[:1] in tuple("=+-@＝\t\r")]


@pytest.fixture
def collected(tmp_path):
    """A folder with notebooks and a handed_in.csv: (learner, file) to (platform, number, name, exercise)."""

    def write(entries: dict) -> Path:
        lines = [["learner", "file", "handed_in", "lms", "lms_id", "name", "source"]]
        entries = entries or {
            ("someone", "z.ipynb"): ("canvas", "1", "s", "z"),
            ("more", "z.ipynb"): ("moodle", "2", "m", "z"),
        }
        for (learner, file), (lms, number, name, exercise) in entries.items():
            lines.append([learner, file, "", lms, number, name, ""])
            place = tmp_path / "collected" / learner
            place.mkdir(parents=True, exist_ok=True)
            if file:
                (place / file).write_text(notebook(exercise))
        with (tmp_path / "collected" / "handed_in.csv").open("w", encoding="utf-8", newline="") as out:
            csv.writer(out).writerows(lines)
        return tmp_path / "collected"

    return write


def canvas_would_read(text: str) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Points possible by assignment and scores by ID, found by the rules of Canvas's gradebook_importer.rb."""
    header, *lines = table(text)
    assert len(header) > 3 and "Student" in header[0] and "ID" in header[1]
    columns = 3
    if re.search(r"SIS\s+User\s+ID", header[2]) and re.search(r"SIS\s+Login\s+ID", header[3]):
        columns = 5
    assert "Section" in header[columns - 1]
    possible, scores = {}, {}
    for line in lines:
        cells = dict(zip(header[columns:], line[columns:], strict=True))
        if "Points Possible" in line[0]:
            possible = cells
        else:
            scores[line[1] or line[0]] = cells
    return possible, scores


def test_canvas_finds_learners_assignments_and_points(rows, collected):
    folder = collected(
        {
            ("Ada, Countess", "01_x.ipynb"): ("canvas", "11", "lovelaceada", "01_x"),
            ("late", "hw.ipynb"): ("canvas", "10000000000123", "late", "01_x"),
            ("nobody", ""): ("canvas", "13", "nobody", None),
            ("unlucky", "01_x.ipynb"): ("moodle", "14", "unlucky", "01_x"),
        }
    )
    made = export.canvas(rows, COURSE, folder, {"01_x": "Homework 1 (4567)"})
    possible, scores = canvas_would_read(made.text)
    assert possible == {"Homework 1 (4567)": "6", "02_y": "6"}
    assert scores["11"] == {"Homework 1 (4567)": "4", "02_y": "0"}
    assert scores["10000000000123"] == {"Homework 1 (4567)": "2", "02_y": ""}
    assert scores["13"] == {"Homework 1 (4567)": "0", "02_y": ""}
    assert scores["unlucky"] == {"Homework 1 (4567)": "", "02_y": ""}, "what could not be marked has no grade"
    assert len(scores) == 6
    said = " ".join(made.remarks)
    assert f"{EVIL}, unlucky, Åsa" in said and "Ada" not in said and "handed_in.csv" in said
    assert "not marked to the end, so without a grade: unlucky (01_x); grade again" in said


def test_canvas_without_numbers_lists_everybody(rows):
    made = export.canvas(rows, COURSE, None, {})
    assert "Ada, Countess, late, nobody, unlucky" in made.remarks[0]
    with pytest.raises(BadExport, match="no exercise 03_z to give a title; wanted: 01_x, 02_y"):
        export.canvas(rows, COURSE, None, {"03_z": "x"})


def test_keys_that_changed_between_gradings_are_said(rows):
    made = export.canvas([*rows, row("eve", possible=8)], COURSE, None, {})
    assert "01_x was graded with keys of 6 and 8 points; grade it again" in made.remarks
    assert canvas_would_read(made.text)[0]["01_x"] == "8"


def moodle_would_read(text: str) -> dict[str, dict]:
    """Grade, time and comments by number, found by the rules of Moodle's importgradeslib.php."""
    header, *lines = table(text)
    places = {name: header.index(name) for name in ("Identifier", "Grade", "Last modified (grade)")}
    comments = header.index("Feedback comments")
    assert comments, "Moodle takes a column at index 0 for none"
    found = {}
    for line in lines:
        number = line[places["Identifier"]][len("Participant ") :]
        if number.isdigit():
            modified = datetime.fromisoformat(line[places["Last modified (grade)"]])
            found[number] = {"grade": line[places["Grade"]], "modified": modified, "said": line[comments]}
    return found


def test_moodle_finds_learners_by_the_number_of_that_assignment(rows, collected):
    folder = collected(
        {
            ("Ada, Countess", "02_y.ipynb"): ("moodle", "900", "Ada Lovelace", "02_y"),
            ("Ada, Countess", "my homework.ipynb"): ("moodle", "111", "Ada Lovelace", "01_x"),
            ("late", "01_x.ipynb"): ("moodle", "112", "Late, Too", None),
            ("unlucky", "01_x.ipynb"): ("moodle", "113", "Un Lucky", "01_x"),
            ("nobody", "essay.ipynb"): ("moodle", "114", "No Body", "03_z"),
            (EVIL, "01_x.ipynb"): ("canvas", "115", "x", "01_x"),
        }
    )
    made = export.moodle(export.choose(rows, ["01_x"]), COURSE, folder)
    found = moodle_would_read(made.text)
    assert {number: cells["grade"] for number, cells in found.items()} == {"111": "4", "112": "2", "113": ""}
    assert found["111"]["modified"] == datetime(2026, 12, 5, 10, tzinfo=UTC)
    lines = by_name(made.text)
    assert [line["Full name"] for line in lines[:3]] == ["Ada Lovelace", f"'{EVIL}", "Late, Too"]
    assert {line["Maximum Grade"] for line in lines} == {"6"} and len(lines) == 5
    assert made.remarks[0].startswith("without a number of Moodle") and f"{EVIL}, nobody;" in made.remarks[0]


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.text += data


def test_feedback_is_html_in_which_nothing_is_run(rows):
    seen = Tags(export.feedback(rows[3], COURSE))
    assert seen.tags == [("p", []), ("ul", []), ("li", []), ("li", [])]
    assert '<script>alert("x")</script>' in seen.text and "Hint: Count again." in seen.text
    assert "4 of 6 points; handed in 1 day and 6 hours after the due time: 50 %" in seen.text
    assert Tags(export.feedback(rows[4], COURSE)).text == "0 of 6 points; there is no 01_x.ipynb."
    noted = Row("eve", Result("01_x", "graded", notes=("the file was called <b>.ipynb",)))
    assert Tags(export.feedback(noted, COURSE)).tags == [("p", []), ("p", [])]
    assert by_name(export.tidy([noted], COURSE).text)[0]["message"] == "the file was called <b>.ipynb"


def test_moodle_needs_one_exercise_and_the_numbers(rows, collected, tmp_path):
    with pytest.raises(BadExport, match="name one with --exercise: 01_x, 02_y"):
        export.moodle(rows, COURSE, tmp_path)
    one = export.choose(rows, ["01_x"])
    with pytest.raises(BadExport, match="--collected"):
        export.moodle(one, COURSE, None)
    with pytest.raises(BadExport, match=r"has no handed_in.csv with learners of moodle"):
        export.moodle(one, COURSE, tmp_path)
    with pytest.raises(BadExport, match="with learners of canvas"):
        export.canvas(one, COURSE, collected({("a", "x.ipynb"): ("moodle", "1", "a", "x")}), {})


def test_only_what_was_graded_can_be_chosen(rows):
    assert {row.learner for row in export.choose(rows, ["02_y"])} == {"Ada, Countess", "Åsa \u202eRTL"}
    assert export.choose(iter(rows)) == rows
    with pytest.raises(BadExport, match="nothing of 09_no is graded; the gradebook has 01_x, 02_y"):
        export.choose(rows, ["01_x", "09_no"])
    with pytest.raises(BadExport, match="has no marks; run coursekit grade first"):
        export.choose([])


def test_marks_that_wait_for_their_race_are_not_exported_by_mistake(rows, tmp_path, capsys):
    with Gradebook(tmp_path / "book.sqlite") as gradebook:
        run = gradebook.start_run(7)
        for each in (row("ada"), row("bob", "02_y", status=RACING, message="its speed was not measured")):
            gradebook.record(run, each)
        gradebook.record(run, row("\x1b[2J", "03_z", status="failed"))
    out = tmp_path / "out.csv"
    args = ["export", "--gradebook", str(tmp_path / "book.sqlite"), "--out", str(out)]
    assert cli.main([*args, "--exercise", "03_z", "--format", "canvas"]) == 0
    error = capsys.readouterr().err
    assert "[2J (03_z)" in error and "\x1b" not in error, "a name does not steer the terminal"
    out.unlink()
    assert cli.main(args) == 2 and not out.exists()
    assert "speed of 'bob' (02_y) was not measured yet" in capsys.readouterr().err
    assert cli.main([*args, "--exercise", "01_x"]) == 0, "what is asked for is complete"
    assert cli.main([*args, "--unfinished"]) == 0
    assert {line["learner"]: line["status"] for line in by_name(out.read_text())} == {
        "ada": "graded",
        "bob": RACING,
        " [2J": "failed",
    }


ROSTER = "learner,name,lms_id\nada,Ada Lovelace,11\nbob,Bob Berg,12\n"


def test_canvas_has_the_number_of_whoever_handed_in_nothing(tmp_path):
    (tmp_path / "roster.csv").write_text(ROSTER)
    archive = pack(tmp_path / "in.zip", {"lovelaceada_11_1001_01_x.ipynb": notebook("01_x")})
    collect(archive, tmp_path / "class", roster=tmp_path / "roster.csv")
    rows = [row("ada"), row("bob", status="missing")]
    made = export.canvas(rows, Course(), tmp_path / "class", {})
    assert canvas_would_read(made.text)[1] == {"11": {"01_x": "4"}, "12": {"01_x": "0"}}
    assert made.remarks == ()
    later = pack(tmp_path / "later.zip", {"bergbob_12_1002_01_x.ipynb": notebook("01_x")})
    collect(later, tmp_path / "class", roster=tmp_path / "roster.csv")
    assert [r.file for r in read_records(tmp_path / "class")] == ["01_x.ipynb"] * 2, "no line is left over"


def test_moodle_has_the_number_of_whoever_handed_in_nothing_for_that_assignment(tmp_path):
    head = 'Identifier,"Full name","Last modified (submission)"\n'
    (tmp_path / "sheet.csv").write_text(
        f'{head}"Participant 1",Ada,"Tuesday, 1 December 2026, 11:45 PM"\n"Participant 2",Bob,-\n'
    )
    archive = pack(tmp_path / "in.zip", {"Ada_1_assignsubmission_file/01_x.ipynb": notebook("01_x")})
    collect(archive, tmp_path / "class", worksheet=tmp_path / "sheet.csv")
    rows = [row("Ada"), row("Bob", status="missing"), row("Bob", "02_y", status="missing")]
    made = export.moodle(export.choose(rows, ["01_x"]), Course(), tmp_path / "class")
    assert {number: cells["grade"] for number, cells in moodle_would_read(made.text).items()} == {
        "1": "4",
        "2": "0",
    }
    made = export.moodle(export.choose(rows, ["02_y"]), Course(), tmp_path / "class")
    assert moodle_would_read(made.text) == {}, "a number of Moodle's is for one assignment"


@pytest.mark.parametrize("number", ["2", "9"])
def test_a_roster_of_another_assignment_names_nobody_to_moodle(tmp_path, number):
    (tmp_path / "roster.csv").write_text(f"learner,lms_id\nAda,{number}\nBob,3\n")
    archive = pack(tmp_path / "in.zip", {"Ada_2_assignsubmission_file/01_x.ipynb": notebook("01_x")})
    collect(archive, tmp_path / "class", roster=tmp_path / "roster.csv")
    made = export.moodle([row("Bob", status="missing")], Course(), tmp_path / "class")
    assert set(moodle_would_read(made.text)) == ({"3"} if number == "2" else set())


def test_the_command_says_by_which_course_and_what_is_without_effect(book, tmp_path, capsys):
    folder = tmp_path / "class"
    collect(pack(tmp_path / "in.zip", {"late_LATE_5_1077_01_x.ipynb": notebook("01_x")}), folder)
    assert [(r.late, r.handed_in) for r in read_records(folder)] == [("yes", "")]
    args = [
        "export",
        "--gradebook",
        str(book),
        "--out",
        str(tmp_path / "out.csv"),
        "--collected",
        str(folder),
    ]
    (tmp_path / "course.toml").write_text(
        "[due]\n1_x = 2026-12-01\n02_y = 2026-12-01\n09_later = 2027-01-01\n"
        "[extensions.latte]\n02_y = 2026-12-09\n[extensions.Zoe]\n09_later = 2027-02-01"
    )
    assert cli.main(args) == 0
    said = capsys.readouterr()
    assert f"those of {tmp_path / 'course.toml'}" in said.out
    assert "[due] has '1_x', which is no exercise here; perhaps '01_x' was meant" in said.err
    assert "[extensions] has 'latte', who is no learner here; perhaps 'late' was meant" in said.err
    assert "09_later" not in said.err and "Zoe" not in said.err, "what is still to come is no mistake"
    assert "02_y has a due time, and it is not known when Ada, Countess, Åsa" in said.err
    assert "marked as late" not in said.err, "nothing is due for it"
    (tmp_path / "course.toml").write_text("[due]\n01_x = 2026-12-01")
    with Gradebook(book) as gradebook:
        gradebook.record(gradebook.start_run(8), row("late"))
    assert cli.main(args) == 0
    assert "marked as late, without a time: late/01_x.ipynb" in capsys.readouterr().err
    (tmp_path / "course.toml").unlink()
    assert cli.main(args) == 0
    assert "no course.toml was found, so no due times count" in capsys.readouterr().out


@pytest.fixture
def book(tmp_path, rows):
    with Gradebook(tmp_path / "book.sqlite") as gradebook:
        run = gradebook.start_run(7, "bubblewrap")
        for each in rows:
            gradebook.record(run, each)
    (tmp_path / "course.toml").write_text("[due]\n01_x = 2026-12-01T12:00:00\n[late]\npercent_per_day = 25")
    return tmp_path / "book.sqlite"


def test_the_command_writes_each_form(book, tmp_path, capsys):
    archive = pack(
        tmp_path / "in.zip",
        {
            "late_12_1001_01_x.ipynb": notebook("01_x"),
            "unlucky_77_assignsubmission_file/y.ipynb": notebook("02_y"),
        },
    )
    assert cli.main(["collect", str(archive), "--to", str(tmp_path / "class")]) == 0
    args = ["export", "--gradebook", str(book), "--out", str(tmp_path / "out.csv")]
    more = {
        "csv": [],
        "detail": ["--detail", "--exercise", "02_y"],
        "canvas": [
            "--format",
            "canvas",
            "--collected",
            str(tmp_path / "class"),
            "--title",
            "01_x=Homework = 1",
        ],
        "moodle": ["--format", "moodle", "--collected", str(tmp_path / "class"), "--exercise", "01_x"],
    }
    texts = {}
    for form, options in more.items():
        capsys.readouterr()
        assert cli.main([*args, *options]) == 0
        said = capsys.readouterr()
        assert "rows of book.sqlite in" in said.out
        assert ("without a number" in said.err) == (form in ("canvas", "moodle"))
        texts[form] = (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert {line["learner"]: line["points_after_rule"] for line in by_name(texts["csv"])}["late"] == "2"
    assert len(by_name(texts["detail"])) == 4
    possible, scores = canvas_would_read(texts["canvas"])
    assert scores["12"]["Homework = 1"] == "2" and possible["02_y"] == "6"
    assert moodle_would_read(texts["moodle"]) == {}, "its number is for another exercise"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--detail", "--format", "canvas"], "--detail goes with --format csv"),
        (["--title", "a=b"], "--title goes with --format canvas"),
        (["--title", "01_x", "--format", "canvas"], "wanted NAME=TITLE"),
        (["--exercise", "09"], "nothing of 09 is graded"),
        (["--course", "none.toml"], "there is no none.toml"),
        (["--format", "moodle"], "name one with --exercise"),
        (["--out", "BOOK"], "is the gradebook; name another file"),
        (["--out", "BOOK/marks.csv"], "cannot be written ("),
        (["--out", "."], "--out . is a folder; wanted: a file, such as marks.csv"),
    ],
)
def test_the_command_says_what_it_cannot_do(book, tmp_path, capsys, options, words):
    options = [option.replace("BOOK", str(book)) for option in options]
    assert cli.main(["export", "--gradebook", str(book), "--out", str(tmp_path / "out.csv"), *options]) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1
    assert len(read_rows(book)) == 7 and not (tmp_path / "out.csv").exists()


def test_what_is_written_is_plain_data(book, tmp_path):
    out = tmp_path / "deep" / "marks.csv"
    assert cli.main(["export", "--gradebook", str(book), "--out", str(out)]) == 0
    assert json.dumps(out.read_text(encoding="utf-8")).count("bubblewrap") == 7
    assert [path.name for path in out.parent.iterdir()] == ["marks.csv"]
