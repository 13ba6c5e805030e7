"""Pages of marks: what they say, to whom, and that nothing in them acts, hides or is fetched."""

import html
import re
from dataclasses import replace
from datetime import date, timedelta, timezone
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit import cli
from coursekit.grading.course.gradebook import Gradebook, Row
from coursekit.grading.course.settings import Course, load_course
from coursekit.grading.marking.result import Mark, Result
from coursekit.grading.report import charts, overview
from coursekit.grading.report.files import page_name
from coursekit.grading.report.pages import write_reports
from coursekit.grading.report.text import SHOWN, code_html, cut_sentence, visible
from tests.grading.test_similar import DISGUISED, OTHERS, SEARCH, hand_in, own_way

HOSTILE = "<script>alert(1)</script>\"' onload=x &amp; {{ 7 * 7 }} \u202egnp.exe \0\x1b[31m\ud800 ]]> $x_{$"
VOID = {"meta", "br", "img", "link", "input", "hr", "wbr"}


def mark(status="right", points=1, possible=1, title="Task 1: double", **rest) -> Mark:
    values = {"task": "double", "message": status if status == "right" else "drawn: at [0]: got 1, wanted 2"}
    return Mark(title=title, points=points, possible=possible, status=status, **(values | rest))


def row(
    learner: str, *marks: Mark, exercise="00_small", status="graded", notes=(), message="", **rest
) -> Row:
    possible = sum(m.possible for m in marks) or 6
    values = {"sandbox": "bubblewrap", "seed": 5, "graded": "2026-12-05T10:00:00+00:00"}
    return Row(learner, Result(exercise, status, message, tuple(marks), notes, possible), **(values | rest))


WRONG = mark(
    "wrong",
    points=0,
    cases=3,
    cases_right=1,
    hint="Twice, not its square.",
    source="def double(x):\n    return x ** 2",
    feedback="double: not yet\n  Hint: Twice, not its square.",
)


class Page(HTMLParser):
    """A page taken apart: its elements with their attributes, its text, and what is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.raw, self.elements, self.texts, self.open, self.faults = text, [], [], [], []
        self.feed(text)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if len(dict(attributes)) != len(attributes):
            self.faults.append(f"{tag} twice the same attribute")
        if tag not in VOID:
            self.open.append(tag)
        elif tag == "br":
            self.texts.append(" ")

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}>")
        if tag not in ("a", "b", "bdi", "span", "code", "small"):
            self.texts.append(" ")

    def handle_data(self, data):
        if not {"style"} & set(self.open):
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.texts).split())

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def ids(self) -> list[str]:
        return [attributes["id"] for _, attributes in self.elements if "id" in attributes]


def write(rows, folder, *options) -> dict[str, Page]:
    """The pages by learner, and the class's as ''."""
    write_reports(rows, folder, *options)
    pages = {r.learner: Page((folder / page_name(r.learner)).read_text(encoding="utf-8")) for r in rows}
    return pages | {"": Page((folder / "index.html").read_text(encoding="utf-8"))}


def one(row: Row, folder, *options) -> Page:
    return write([row], folder, *options)[row.learner]


# A learner's page


def test_a_page_says_what_differed_and_the_hint(tmp_path):
    page = one(
        row("ada", WRONG, mark("right", 2, 2, title="Task 2: total"), notes=("it was late at night",)),
        tmp_path,
    )
    assert "Marks of ada" in page.text and "00_small: 2 of 3 points" in page.text
    assert "wrong 0 of 1 point, 1 of 3 cases right" in page.text and "right 2 of 2 points" in page.text
    assert "What differed first: drawn: at [0]: got 1, wanted 2" in page.text
    assert "Hint: Twice, not its square." in page.text and len(page.all("aside")) == 1
    assert "Your answer def double(x): return x ** 2" in page.text
    assert "What the visible check printed, in your own kernel double: not yet" in page.text
    assert "Note: it was late at night." in page.text and "Graded 2026-12-05 10:00 UTC, seed 5." in page.text


def test_what_is_right_is_not_explained(tmp_path):
    page = one(row("ada", replace(WRONG, points=1, status="right", message="right")), tmp_path)
    assert "Hint" not in page.text and "visible check" not in page.text and "differed" not in page.text
    assert "return x ** 2" in page.text and any(b.get("class") == "badge full" for b in page.all("b"))


def test_a_status_nobody_thought_of_is_shown_as_it_is(tmp_path):
    speed = mark(
        "inconclusive", 1, 3, title="Task 1: double: speed", message="between 0.9 and 1.4 times as fast"
    )
    page = one(row("ada", speed), tmp_path)
    assert "Task 1: double: speed inconclusive 1 of 3 points Between 0.9 and 1.4 times as fast" in page.text
    assert "cases right" not in page.text and "Your answer" not in page.text
    assert not any("full" in b.get("class", "") for b in page.all("b"))


def test_what_was_not_graded_says_why(tmp_path):
    page = one(row("ada", status="broken", message="its JSON breaks off"), tmp_path)
    assert "00_small: 0 of 6 points Not graded (broken): its JSON breaks off" in page.text


def test_several_exercises_have_a_sum(tmp_path):
    rows = [row("ada", mark("right", 2, 2), exercise="01_b"), row("ada", WRONG, exercise="00_a")]
    page = write(rows, tmp_path)["ada"]
    assert "Sum 2 of 3" in page.text and page.text.index("00_a: 0 of 1") < page.text.index("01_b: 2 of 2")
    assert "Sum" not in one(rows[0], tmp_path).text


def test_the_late_rule_is_applied_and_told(tmp_path):
    (tmp_path / "course.toml").write_text(
        'title = "Fast <models>"\ntimezone = "Europe/Berlin"\n[due]\n"00_small" = 2026-12-01\n'
        "[late]\npercent_per_day = 25\n"
    )
    course = load_course(tmp_path / "course.toml")
    late = row("ada", mark("right", 5, 5), handed_in="2026-12-02T11:00:00+00:00")
    early = row("bob", mark("right", 5, 5), handed_in="2026-11-30T11:00:00+00:00")
    pages = write([late, early], tmp_path / "out", course)
    assert "00_small: 3.75 of 5 points" in pages["ada"].text and "Fast <models>" in pages["ada"].text
    assert "Its tasks earned 5 points; 3.75 of them count. Handed in 12 hours" in pages["ada"].text
    assert "25 % of the points are taken off." in pages["ada"].text
    assert "Handed in 2026-12-02 12:00 CET." in pages["ada"].text
    assert "00_small: 5 of 5 points" in pages["bob"].text and "late" not in pages["bob"].text
    assert (
        "ada 3.75 of 5 75 % 3.75 of 5 late" in pages[""].text and "bob 5 of 5 100 % 5 of 5" in pages[""].text
    )
    both = write([late, row("ada", mark("right", 3, 3), exercise="01_b")], tmp_path / "out", course)["ada"]
    assert "00_small 3.75 of 5 late 01_b 3 of 3 Sum 6.75 of 8" in both.text
    assert "2 graded; 1 late." in pages[""].text and "from 3.75 to 5 of 5 points" in pages[""].text


@pytest.mark.parametrize("when", ["yesterday", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59+00:00"])
def test_a_time_that_no_clock_shows_stands_as_it_is(tmp_path, when):
    course = Course(zone=timezone(timedelta(hours=-5 if when < "1" else 5)))
    page = one(row("ada", WRONG, handed_in=when), tmp_path, course)
    assert f"Handed in {when}. Graded 2026-12-05" in page.text


def test_a_learners_page_shows_nothing_of_others(tmp_path):
    rows = []
    for name, source in (("ada", SEARCH), ("bob", DISGUISED), ("cleo", OTHERS[0])):
        secret = {"message": f"message-{name} 1", "hint": f"hint-{name}", "feedback": f"feedback-{name}"}
        own = mark("wrong", 0, task="probes", source=f"{source}\n# source-{name}", **secret)
        rows.append(row(name, own, notes=(f"note-{name}",), seed=len(rows)))
        rows.append(row(name, exercise="01_b", status="broken", message=f"broken-{name}"))
    pages = write(rows, tmp_path)
    for name in ("ada", "bob", "cleo"):
        for other in ("ada", "bob", "cleo"):
            found = re.findall(rf"[a-z]+-{other}\b|\b{other}\b", pages[name].raw)
            kinds = {"message", "hint", "feedback", "source", "note", "broken"}
            assert {f.split("-")[0] for f in found} == (kinds | {other} if other == name else set())
        assert "index.html" not in pages[name].raw and "alike" not in pages[name].text
    assert "ada and bob: 100 % alike" in pages[""].text


# Whatever is in the gradebook


def hostile_rows() -> list[Row]:
    texts = dict.fromkeys(("title", "message", "hint", "feedback", "task"), HOSTILE)
    long = mark("wrong", 0, 1, **texts, source=SEARCH + f"\n# {HOSTILE}" * 5_000)
    again = replace(long, source=long.source + "# end")
    odd = mark(HOSTILE, 0, 1, source=HOSTILE)
    names = (
        HOSTILE,
        "../../../etc/passwd",
        "مريم \u2067",
        "王小明",
        "",
        "CON",
        "javascript:alert(1)",
        "x" * 5_000,
    )
    rows = [row(name, long, odd, exercise=HOSTILE, notes=(HOSTILE,)) for name in names]
    return [
        *rows,
        row("ada", again, exercise=HOSTILE),
        row("bob", status=HOSTILE, message=HOSTILE, graded=HOSTILE),
    ]


def test_nothing_in_a_page_acts_or_hides(tmp_path, recwarn):
    pages = write(hostile_rows(), tmp_path / "out")
    assert {path.parent for path in tmp_path.rglob("*.html")} == {tmp_path / "out"}
    for page in pages.values():
        tags = {tag for tag, _ in page.elements}
        assert not tags & {
            "script",
            "iframe",
            "object",
            "embed",
            "link",
            "img",
            "form",
            "base",
            "image",
            "foreignobject",
        }
        for tag, attributes in page.elements:
            assert not [key for key in attributes if key.startswith("on")], tag
        assert not set(page.raw) & (
            set(map(chr, [*range(9), *range(11, 32), 127])) | set("\u202e\u2066\u2067")
        )
        assert "49" not in page.text.split() and not page.faults
    assert not recwarn.list
    assert "<script>alert(1)</script>" in pages[HOSTILE].text and "\\u202egnp.exe" in pages[HOSTILE].text


def test_a_page_is_complete_in_itself(tmp_path):
    rows = [*hostile_rows(), row("zoe", WRONG), row("zed", WRONG)]
    for page in write(rows, tmp_path).values():
        assert not page.all("script") and not any("src" in attributes for _, attributes in page.elements)
        assert not re.search(r"@import|url\((?!#)|xmlns|https?:", page.raw)
        for attributes in page.all("a"):
            target = unquote(attributes["href"])
            assert target[1:] in page.ids() if target.startswith("#") else (tmp_path / target).is_file()
        for tag in ("use", "image"):
            assert all(a.get("href", "#")[1:] in ["", *page.ids()] for a in page.all(tag))
        for reference in re.findall(r"url\(#([^)]*)\)", page.raw):
            assert reference in page.ids()
        policy = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
        assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_pages_can_be_read_by_ear_and_by_keyboard(tmp_path):
    rows = [
        row(n, WRONG, mark("error", 0, 2, title="Task 2"), exercise=e) for n in ("ada", "bob") for e in "ab"
    ]
    for page in write([*rows, *hand_in({"x": SEARCH, "y": DISGUISED})], tmp_path).values():
        assert (
            page.all("html") == [{"lang": "en"}]
            and len(page.all("title")) >= 1
            and len(page.all("main")) == 1
        )
        levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
        assert levels[0] == 1 and levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert all(a.get("scope") in ("row", "col") for a in page.all("th"))
        ids = page.ids()
        assert len(set(ids)) == len(ids)
        for tag, attributes in page.elements:
            assert set(attributes.get("aria-labelledby", "").split()) <= set(ids)
            if attributes.get("role") == "region":
                assert attributes["tabindex"] == "0" and {"aria-label", "aria-labelledby"} & set(
                    attributes
                ), tag
        assert not page.faults and "prefers-color-scheme: dark" in page.raw and "@media print" in page.raw
        assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")


def test_names_are_set_apart_from_the_text_around_them(tmp_path):
    pages = write([row("مريم", WRONG), row("bob", WRONG)], tmp_path)
    assert "<bdi>مريم</bdi>" in pages["مريم"].raw
    shown = re.findall(r"(.{5})مريم(.{6})", pages[""].raw)
    assert shown and set(shown) == {("<bdi>", "</bdi>")}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ada", "Ada"),
        ("con", "con_"),
        ("index", "INDEX"),
        ("a/b", "a_b"),
        ("bob é", "bob è"),
        ("\ud800", "\ud801"),
    ],
)
def test_two_learners_never_share_a_page(one, other):
    assert page_name(one).lower() != page_name(other).lower()
    assert re.fullmatch(r"[a-z0-9_-]+\.html", page_name(one)) and page_name(one) not in (
        "index.html",
        "con.html",
    )


def test_nobody_can_be_called_like_the_page_of_another():
    for victim in ("bob <script>", "Ada", "index"):
        attacker = page_name(victim).removesuffix(".html")
        assert page_name(attacker) != page_name(victim)
    assert re.fullmatch(r"ada-b-1-[0-9a-f]{12}\.html", page_name("Ádä_b-1"))


# Code


@settings(deadline=None)
@given(st.text(st.characters(codec=None), max_size=200) | st.text("\"'#\n\\ \tdefr(){}0<&\r", max_size=60))
def test_code_loses_nothing_and_gains_nothing_but_spans(source):
    marked = code_html(source)
    assert re.sub(r"</?span[^>]*>", "", marked) == html.escape(visible(source).strip("\n").rstrip()) or (
        html.unescape(re.sub(r"</?span[^>]*>", "", marked)).split() == visible(source).split()
    )
    assert set(re.findall(r"<[^>]*>", marked)) <= {
        "</span>",
        *(f'<span class="{k}">' for k in ("kw", "co", "st", "nu")),
    }


def test_code_is_coloured_by_class():
    assert code_html('def f():  # why\n    return 1, "a<b"') == (
        '<span class="kw">def</span> f():  <span class="co"># why</span>\n'
        '    <span class="kw">return</span> <span class="nu">1</span>, '
        '<span class="st">&quot;</span><span class="st">a&lt;b</span><span class="st">&quot;</span>'
    )


def test_a_long_answer_is_cut_and_says_so(tmp_path):
    source = "x = 1\n" * 20_000
    assert cut_sentence(source) == f"The first {SHOWN:,} of its 120,000 characters."
    assert cut_sentence("x" * SHOWN) == ""
    page = one(row("ada", replace(WRONG, source=source)), tmp_path)
    assert cut_sentence(source) in page.text and len(page.raw) < 200_000


def test_what_hides_is_made_visible():
    assert visible("a\tb\r\nc\rd") == "a\tb\nc␍d"
    assert visible("\0\x1b\x7f\x9b\u202e\u2069\u2028\udcff") == "␀␛␡\\x9b\\u202e\\u2069\\u2028\\udcff"
    assert visible("né 王 \u200d👩‍🔬 مريم") == "né 王 \u200d👩‍🔬 مريم"


# The class


def test_the_overview_orders_by_name_and_counts(tmp_path):
    rows = [
        row("zoe", mark()),
        row("Ada", WRONG),
        row("Bob", status="missing"),
        row("ada", mark(), exercise="01_b"),
    ]
    page = write(rows, tmp_path)[""]
    assert "4 learners, 2 exercises." in page.text
    order = [page.text.index(f" {name} ") for name in ("Ada", "ada", "Bob", "zoe")]
    assert order == sorted(order)
    assert "2 graded, 2 missing." in page.text and "3 missing, 1 graded." in page.text
    assert "Bob 0 of 7 0 % missing missing" in page.text and "zoe 1 of 2 50 % 1 of 1 missing" in page.text


def test_an_overview_without_anybody(tmp_path):
    page = write([], tmp_path)[""]
    assert "0 learners, 0 exercises" in page.text and not page.faults and not page.all("svg")


def test_the_hardest_task_comes_first(tmp_path):
    easy, hard = (mark(title=title, task=title) for title in ("Task 1: easy", "Task 2: hard"))
    failed = [replace(hard, points=0, status=status) for status in ("wrong", "wrong", "timeout")]
    rows = [
        row("a", easy, hard),
        *(row(n, easy, m) for n, m in zip("bcd", failed, strict=True)),
        row("e", status="missing"),
    ]
    found = overview.solved(rows)
    assert [(t.title, t.full, t.total, t.percent) for t in found] == [
        ("Task 1: easy", 4, 4, 100),
        ("Task 2: hard", 1, 4, 25),
    ]
    assert found[1].others == (("wrong", 2), ("timeout", 1)) and found[1].why == "2 wrong, 1 timeout"
    page = write(rows, tmp_path)[""]
    assert "Task 2: hard 1 of 4 25 % 2 wrong, 1 timeout Task 1: easy 4 of 4 100 %" in page.text


@pytest.mark.parametrize(
    ("part", "whole", "shown"),
    [(0.29, 1, 29), (0.9999, 1, 99), (2, 3, 67), (6, 7, 86), (1, 8, 13), (5, 5, 100), (0, 0, 0)],
)
def test_a_share_is_rounded_and_whole_only_where_nothing_is_missing(part, whole, shown):
    assert overview.percent(part, whole) == shown


def test_points_for_speed_are_a_task_of_their_own():
    speed = mark("slow", 1, 2, title="Task 1: double: speed")
    found = overview.solved(
        [row("a", mark(), speed), row("b", mark(), replace(speed, points=2, status="fast"))]
    )
    assert [(t.title, t.full, t.others) for t in found] == [
        ("Task 1: double", 2, ()),
        ("Task 1: double: speed", 1, (("slow", 1),)),
    ]
    assert not overview.is_full(mark("inconclusive", 0, 0))


def test_recognised_answers_are_counted_by_hint(tmp_path):
    other = replace(WRONG, hint="Half of it.")
    right = replace(WRONG, points=1, status="right")
    rows = [
        row("a", other),
        row("b", WRONG),
        row("c", WRONG),
        row("d", right),
        row("e", replace(WRONG, hint="")),
    ]
    assert [(m.title, m.text, m.learners) for m in overview.recognised(rows)] == [
        ("Task 1: double", "Twice, not its square.", ("b", "c")),
        ("Task 1: double", "Half of it.", ("a",)),
    ]
    page = write(rows, tmp_path)[""]
    assert "2 Task 1: double Twice, not its square. b, c 1 Task 1: double Half of it. a" in page.text


def test_messages_without_a_hint_count_as_one_whatever_their_numbers():
    def said(name, text, status="wrong", **rest):
        return row(name, mark(status, 0, message=text, **rest))

    rows = [
        said("a", "at [0, 2]: got -1.5e-3, wanted nan"),
        said("b", "at [1, 7]: got 2, wanted 12.25"),
        said("c", "at [1, 7]: got None, wanted 2"),
        said("d", "at [1, 7]: got 2, wanted 3", hint="known"),
        said("e", "at [0, 0]: got 2, wanted 3", title="Task 2"),
        said("f", "nothing was written yet", "empty"),
        said("g", "its cell is gone", "missing"),
        said("h", "it calls total", "waiting"),
        said("j", "at [0, 2]: got 9, wanted 8"),
    ]
    assert [(m.text, m.learners) for m in overview.unrecognised(rows)] == [
        ("at [0, 2]: got -1.5e-3, wanted nan", ("a", "b", "j")),
        ("at [1, 7]: got None, wanted 2", ("c",)),
        ("at [0, 0]: got 2, wanted 3", ("e",)),
    ]


def test_many_mistakes_and_many_names_are_folded(tmp_path):
    rows = [row(f"n{i:02}", replace(WRONG, hint=f"Hint {chr(97 + i)}.", message="same")) for i in range(25)]
    rows += [row(f"m{i}", replace(WRONG, hint="", message="same")) for i in range(6)]
    page = write(rows, tmp_path)[""]
    assert "And 5 more" in page.text and "6 learners m0, m1, m2, m3, m4, m5" in page.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sandbox": "none"}, "1 of 3 rows were graded without a sandbox"),
        ({"seed": 6}, "00_small was graded in 2 runs, each with inputs of its own. That is as it should be"),
        ({"key_digest": "new"}, "different versions of the key: 00_small."),
    ],
)
def test_what_makes_marks_less_sure_stands_on_top(tmp_path, change, words):
    rows = [row("a", WRONG), row("b", WRONG), row("c", WRONG, exercise="01_b", seed=9, key_digest="other")]
    assert overview.cautions(rows) == []
    assert "Before you use these marks" not in write(rows, tmp_path)[""].text
    rows[0] = replace(rows[0], **change)
    (caution,) = overview.cautions(rows)
    page = write(rows, tmp_path)[""]
    assert words in caution and page.text.index(caution) < page.text.index("Learners")


def test_near_identical_answers_stand_side_by_side(tmp_path):
    answers = {"ada": SEARCH, "bob": DISGUISED, "cleo": OTHERS[0], "dan": "def probes(v):\n    return 0"}
    page = write(hand_in(answers), tmp_path)[""]
    assert (
        "3 answers were compared. 1 was not: too short, or with too little that was not handed out. "
        "Pairs that are at least 90 % alike are listed. By pairs of learners, those with the most answers alike first "
        "Learner Learner Answers alike ada bob 1 of 1" in page.text
    )
    assert (
        page.text.count("% alike") == 2
        and "ada and bob: 100 % alike ada def probes(values, target)" in page.text
    )
    assert "cleo and" not in page.text and "Alike is not copied" in page.text
    given = {"probes": SEARCH}
    assert "There are none." in write(hand_in(answers), tmp_path, None, given)[""].text
    assert "at least 10 % alike" in write(hand_in(answers), tmp_path, None, None, 0.1)[""].text


def test_only_so_many_pairs_of_a_task_are_shown(tmp_path):
    page = write(hand_in({f"n{i}": SEARCH if i < 6 else own_way(i) for i in range(12)}), tmp_path)[""]
    assert page.text.count("100 % alike") == 10 and "And 5 more pairs among 12 answers" in page.text


# Plots


@pytest.fixture
def figures(monkeypatch):
    """The figures that are drawn, beside what becomes of them."""
    drawn, real = [], charts.svg
    monkeypatch.setattr(charts, "svg", lambda figure, title: drawn.append(figure) or real(figure, title))
    return drawn


def heights(figure) -> list[float]:
    return [patch.get_height() for patch in figure.axes[0].patches]


def test_the_distribution_counts_everybody_once(figures):
    charts.points_chart([0, 0, 2, 1.75, 3, 4.2, -1], 3, 2, name="e")
    assert heights(figures[0]) == [3, 0, 2, 2, 2]
    assert figures[0].axes[0].patches[-1].get_y() == 3
    assert figures[0].alt == (
        "How many learners earned how many points: 7 graded, from -1 to 4.2 of 3 points, the median 1.75; 2 not graded."
    )


def test_points_are_drawn_at_the_nearest_bar(figures):
    charts.points_chart([5.6, 5.5, 5.4, 0.4], 7, name="e")
    assert heights(figures[0]) == [1, 0, 0, 0, 0, 1, 2, 0]
    charts.points_chart([5.6, 5.4], 40, name="e")
    assert heights(figures[1])[1:3] == [1, 1], "three points in a bar: 5.4 in 3 to 5, 5.6 in 6 to 8"


@pytest.mark.parametrize("possible", [0, 1, 19, 20, 100, 1000])
def test_many_points_share_a_bar(figures, possible):
    points = [possible * i / 50 for i in range(51)]
    charts.points_chart(points, possible, name="e")
    assert sum(heights(figures[0])) == 51 and len(heights(figures[0])) <= charts.MOST_BARS + 1
    labels = [tick.get_text() for tick in figures[0].axes[0].get_xticklabels()]
    assert labels[0] in ("0", f"0–{possible // 20}") and len(labels) <= 12


def test_nobody_graded_is_drawn_too(figures):
    assert "3 not graded" in charts.points_chart([], 3, 3, name="e")
    assert heights(figures[0]) == [0, 0, 0, 0, 3]


def test_bars_of_tasks_are_the_shares(figures):
    tasks = [
        overview.Solved("easy", 9, 10, (("wrong", 1),)),
        overview.Solved("hard", 1, 10, (("wrong", 4), ("error", 3), ("timeout", 2))),
    ]
    text = charts.tasks_chart(tasks, name="e")
    patches = figures[0].axes[0].patches
    assert [round(patch.get_width(), 6) for patch in patches] == [10, 40, 30, 20, 90, 10, 0, 0]
    assert [round(patch.get_x(), 6) for patch in patches] == [0, 10, 50, 80, 0, 90, 100, 100]
    assert (
        "hard: 10 % of 10 solved it, 4 wrong, 3 error, 2 timeout; easy: 90 % of 10 solved it, 1 wrong."
        in text
    )
    legend = [entry.get_text() for entry in figures[0].axes[0].get_legend().get_texts()]
    assert legend == ["all points", "wrong", "error", "timeout"]


def test_rare_statuses_share_a_look(figures):
    others = tuple((f"s{i}", 9 - i) for i in range(8))
    charts.tasks_chart([overview.Solved("t", 0, sum(n for _, n in others), others)], name="e")
    legend = [entry.get_text() for entry in figures[0].axes[0].get_legend().get_texts()]
    assert legend == ["all points", "s0", "s1", "s2", "s3", charts.REST]
    assert sum(patch.get_width() for patch in figures[0].axes[0].patches) == pytest.approx(100)
    assert len(set(charts.LOOKS)) == len(charts.LOOKS)


def test_long_titles_are_cut_wherever_they_can_be(figures):
    titles = ["王" * 46, "王" * 47, "Task 2: " + "long " * 100]
    charts.tasks_chart([overview.Solved(title, 1, 1, ()) for title in titles], name="e")
    drawn = [text.get_text() for text in figures[0].axes[0].texts][::2]
    assert drawn == ["王" * 46, "王" * 45 + "…", "Task 2: " + "long " * 7 + "lo…"]


def test_no_tasks_are_refused():
    with pytest.raises(ValueError, match="empty"):
        charts.tasks_chart([], name="e")


def test_a_plot_is_small_grey_and_says_what_it_shows(recwarn):
    titles = ['Task 1: $x_{$ <b> & "王" \0\u202e', "Task 2: " + "long " * 100]
    tasks = [
        overview.Solved(title, 3, 8, (("wrong", 2), ("error", 1), ("timeout", 2))) for title in titles * 4
    ]
    drawn = [charts.tasks_chart(tasks, name="01_x"), charts.points_chart(range(20), 20, 3, name="01_x")]
    ids = []
    for text in drawn:
        root = ElementTree.fromstring(text)
        assert len(text) < 60_000 and root.attrib["role"] == "img" and "width" not in root.attrib
        title, desc = root[0], root[1]
        assert (title.tag, desc.tag) == ("title", "desc") and title.text.startswith("01_x: ")
        assert root.attrib["aria-labelledby"].split() == [title.attrib["id"], desc.attrib["id"]]
        assert len(desc.text.split()) > 8
        ids += [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
        for colour in re.findall(r"#([0-9a-f]{6})\b", re.sub(r"url\([^)]*\)|href=\S+", "", text)):
            assert colour[:2] == colour[2:4] == colour[4:], "readable in grey"
        assert not root.findall(".//style") and not root.findall(".//metadata") and "font-family" not in text
        assert any(element.text for element in root.iter("text"))
    assert len(set(ids)) == len(ids) and not recwarn.list
    assert '$x_{$ &lt;b&gt; &amp; "王" ␀\\u202e' in drawn[0] and "…" in drawn[0]


# The command


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "marks" / "book.sqlite"
    with Gradebook(path) as gradebook:
        run = gradebook.start_run(1, "bubblewrap")
        for name in ("ada", "bob"):
            gradebook.record(run, row(name, mark("right", 4, 4), handed_in="2026-12-02T12:00:00+00:00"))
    return path


def report(book, *options) -> int:
    return cli.main(
        ["report", "--gradebook", str(book), "--out", str(book.parent / "out"), *map(str, options)]
    )


def course_file(folder, percent: int):
    path = folder / "course.toml"
    path.write_text(f'[due]\n"00_small" = {date(2026, 12, 1)}\n[late]\npercent_per_day = {percent}\n')
    return path


def test_the_command_finds_the_course_or_is_told(book, tmp_path, capsys):
    def shown() -> str:
        return Page((book.parent / "out" / page_name("ada")).read_text()).text

    assert report(book) == 0 and "00_small: 4 of 4 points" in shown()
    assert "2 learners' pages and the overview" in capsys.readouterr().out
    course_file(book.parent, 25)
    assert report(book) == 0 and "00_small: 3 of 4 points" in shown()
    (tmp_path / "other").mkdir()
    assert (
        report(book, "--course", course_file(tmp_path / "other", 50)) == 0 and "00_small: 2 of 4" in shown()
    )


def test_a_course_that_is_none_is_named(book, tmp_path, capsys):
    (tmp_path / "course.toml").write_text("due = 3")
    assert report(book, "--course", tmp_path / "course.toml") == 2
    assert report(book, "--course", tmp_path / "nothing.toml") == 2
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2 and "course.toml" in errors[0] and "nothing.toml" in errors[1]


def test_without_a_course_nothing_is_late(tmp_path):
    page = one(row("ada", mark("right", 4, 4), handed_in="2030-01-01T00:00:00+00:00"), tmp_path, Course())
    assert "00_small: 4 of 4 points" in page.text and "count" not in page.text


def test_the_command_takes_away_what_was_handed_out(book, tmp_path, monkeypatch, capsys):
    from coursekit.grading.exercise import release

    def overview_text() -> str:
        assert report(book) == 0
        return Page((book.parent / "out" / "index.html").read_text()).text

    with Gradebook(book) as gradebook:
        run = gradebook.start_run(1, "bubblewrap")
        for own in hand_in({"ada": SEARCH, "bob": SEARCH}):
            gradebook.record(run, own)
    assert "ada and bob: 100 % alike" in overview_text()
    monkeypatch.setattr(release, "handed_out", lambda keys: {"01/probes": SEARCH})
    assert "There are none." in overview_text()
    monkeypatch.undo()
    assert (
        report(book, "--solutions", tmp_path / "none") == 2 and "is not a folder" in capsys.readouterr().err
    )
