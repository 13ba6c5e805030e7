"""The claims, their verdicts, and the list of lessons."""

import pytest

from coursekit import claims, syllabus


def test_every_claim_has_a_lesson_that_exists():
    numbers = {lesson.number for lesson in syllabus.LESSONS}
    assert list(claims.load()) == [f"C{i:02d}" for i in range(1, 61)]
    for claim in claims.load().values():
        assert claim.lessons and set(claim.lessons) <= numbers


def test_a_verdict_says_what_and_why():
    said = str(claims.verdict("C02", "false", "an embedding has a million weights and no FLOPs"))
    assert said == "Claim C02 is false: an embedding has a million weights and no FLOPs"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("C99", "holds", "x"), "C99"),
        (("C01", "maybe", "x"), "maybe"),
        (("C01", "holds", " "), "must say what was measured"),
    ],
)
def test_a_verdict_that_says_nothing_is_refused(args, words):
    with pytest.raises(ValueError, match=words):
        claims.verdict(*args)


def test_verdicts_are_escaped():
    assert "<b>x" not in claims.verdict("C01", "open", "<b>x")._repr_html_()


def test_words_between_asterisks_are_emphasised():
    assert "memory access <em>and</em> computation" in claims.show("C19")._repr_html_()
    assert (
        "both <em>of them</em>, 2 * 3 * 4, 2*3*4"
        in claims.verdict("C19", "open", "both *of them*, 2 * 3 * 4, 2*3*4")._repr_html_()
    )
    assert "*and*" in repr(claims.show("C19"))


def test_lessons_are_numbered_in_order():
    assert [lesson.number for lesson in syllabus.LESSONS] == list(range(1, 19))
    assert len({lesson.topic for lesson in syllabus.LESSONS}) == 18
    assert syllabus.LESSONS[0].name == "01_complexity"


def test_the_table_replaces_itself():
    text = f"before\n{syllabus.BEGIN}\nold\n{syllabus.END}\nafter\n"
    once = syllabus.with_table(text)
    assert "old" not in once and once.startswith("before") and once.endswith("after\n")
    assert syllabus.with_table(once) == once
    with pytest.raises(ValueError, match="needs the lines"):
        syllabus.with_table("no marks")
