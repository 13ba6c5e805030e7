"""Answers that are nearly the same: found through disguises, not found where the task dictates them."""

import re
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit import cli
from coursekit.grading.course import similar
from coursekit.grading.course.gradebook import Gradebook, Row
from coursekit.grading.course.similar import compare, hashes, near_identical, tokens, winnow
from coursekit.grading.marking.result import Mark, Result
from tests.grading.conftest import DOUBLE

SEARCH = '''def probes(values, target):
    """How many elements a binary search looks at."""
    low, high, count = 0, len(values), 0
    while low < high:
        middle = (low + high) // 2
        count += 1
        if values[middle] == target:
            return middle, count
        if values[middle] < target:
            low = middle + 1
        else:
            high = middle
    return None, count
'''
DISGUISED = """def probes(v: list, wanted: float) -> tuple:
    # my very own idea
    a, b, n = (0), len(v), 0
    '''Now we loop.'''
    while (a < b):
        m: int = ((a + b) // 2); n += 1

        if v[m] == wanted: return (m, n)
        if v[m] < wanted:
              a = m + 1
        else:
              b = m
    return (None, n)   # done
"""
OTHERS = (
    """def probes(values, target):
    start, end, steps = 0, len(values), 0
    while True:
        if start >= end:
            return None, steps
        m = start + (end - start) // 2
        steps = steps + 1
        if values[m] > target:
            end = m
        elif values[m] < target:
            start = m + 1
        else:
            return m, steps
""",
    """def probes(values, target):
    count = 0
    def look(low, high):
        nonlocal count
        if low == high:
            return None
        middle = (low + high) // 2
        count += 1
        if values[middle] == target:
            return middle
        return look(middle + 1, high) if values[middle] < target else look(low, middle)
    return look(0, len(values)), count
""",
    """def probes(values, target):
    left = 0
    right = len(values) - 1
    looked = 0
    found = None
    while found is None and left <= right:
        half = (right + left) // 2
        looked += 1
        here = values[half]
        if here == target:
            found = half
        elif here > target:
            right = half - 1
        else:
            left = half + 1
    return found, looked
""",
)


def hand_in(answers: dict[str, str], task: str = "probes", exercise: str = "01", status: str = "right"):
    return [
        Row(name, Result(exercise, "graded", marks=(Mark(task, task, 1, 1, status, "", source=source),)))
        for name, source in answers.items()
    ]


def own_way(number: int) -> str:
    """An answer that shares no run of tokens with that of another number."""
    lines = [f"    x{i} = s{number}.part_{number}_{i}(y{i}) + {1000 * number + i}" for i in range(8)]
    return "\n".join([f"def probes{number}(v):", *lines])


def names(pairs) -> list[tuple[str, str]]:
    return [(pair.a, pair.b) for pair in pairs]


def test_a_copy_is_found_through_its_disguise():
    (pair,) = near_identical(hand_in({"bob": DISGUISED, "ada": SEARCH, "cleo": OTHERS[0]}))
    assert (pair.exercise, pair.task, pair.a, pair.b, pair.likeness) == ("01", "probes", "ada", "bob", 1)
    assert (pair.source_a, pair.source_b) == (SEARCH, DISGUISED)


def test_different_ways_are_not_alike():
    answers = {str(i): source for i, source in enumerate((SEARCH, *OTHERS))}
    assert compare(hand_in(answers), threshold=0.6).pairs == ()
    assert compare(hand_in(answers)).judged == {("01", "probes"): 4}


def test_a_small_change_is_alike_and_not_the_same():
    (pair,) = near_identical(
        hand_in({"ada": SEARCH, "bob": SEARCH.replace("middle + 1", "middle + 2")}), None, 0.7
    )
    assert 0.7 < pair.likeness < 1


def test_a_swapped_order_leaves_most_of_it():
    first, second = own_way(1).split("\n", 1)[1], own_way(2).split("\n", 1)[1]
    (pair,) = near_identical(hand_in({"ada": f"{first}\n{second}", "bob": f"{second}\n{first}"}))
    assert pair.likeness > 0.9


@pytest.mark.parametrize(
    "broken", ["    return None, count\n    (", "    return None, count\n\0", "%time probes"]
)
def test_what_python_cannot_parse_is_compared_too(broken):
    torn = SEARCH.replace("    return None, count\n", f"{broken}\n")
    renamed = torn.replace("middle", "m").replace("low", "l").replace("    if", "    # mine\n    if")
    found = near_identical(hand_in({"a": torn, "b": renamed, "c": SEARCH, "d": OTHERS[0]}), None, 0.6)
    assert names(found) == [("a", "b"), ("a", "c"), ("b", "c")]
    assert found[0].likeness == 1 > found[1].likeness


def test_what_was_handed_out_does_not_count():
    given_out = SEARCH.replace("probes", "other_probes") + SEARCH
    rows = hand_in({"ada": given_out + "    x = 1\n", "bob": given_out + "    y = [2]\n"})
    assert len(near_identical(rows)) == 1
    for key in ("probes", "01/probes"):
        found = compare(rows, {key: given_out})
        assert found.pairs == () and found.too_short == {("01", "probes"): 2}
    assert len(near_identical(rows, {"01/probes": "", "probes": given_out})) == 1
    assert len(near_identical(rows, {"02/probes": given_out})) == 1


@pytest.mark.parametrize("number", range(20))
def test_what_was_handed_out_does_not_count_beside_other_lines_either(number):
    """The window that a hash stands in decides whether it is kept; that window is another in the answer."""
    handed_out, added = own_way(number), own_way(number + 100).splitlines()
    for line in handed_out.splitlines()[1:]:
        mixed = "\n".join([added[0], *(text for other in added[1:] for text in (other, line))])
        own, _ = similar._own({"ada": mixed}, handed_out)
        assert own["ada"] and not own["ada"] & set(hashes(tokens(line)))


def test_what_most_of_the_class_wrote_does_not_count():
    class_of_20 = {f"n{i:02}": SEARCH + own_way(i) for i in range(20)}
    assert near_identical(hand_in(class_of_20), None, 0.3) == []
    copied = class_of_20 | {"n03": SEARCH + own_way(7)}
    assert names(near_identical(hand_in(copied))) == [("n03", "n07")]


def test_half_of_the_class_is_not_most_of_it():
    for same, pairs in ((10, 45), (11, 0)):
        rows = hand_in({f"n{i:02}": SEARCH if i < same else own_way(i) for i in range(20)})
        found = compare(rows)
        assert len(found.pairs) == pairs
        assert found.shared == {("01", "probes"): 0 if pairs else same}


def test_in_a_small_class_three_may_be_friends():
    for size, pairs, left in ((2, 1, 0), (3, 3, 0), (4, 0, 4), (9, 0, 9), (10, 0, 10)):
        found = compare(hand_in({str(i): SEARCH for i in range(size)}))
        assert (len(found.pairs), found.shared, found.judged) == (
            pairs,
            {("01", "probes"): left},
            {("01", "probes"): size - left},
        )


def test_what_more_than_half_of_a_small_class_shares_is_left_out_and_counted():
    for others, pairs in ((4, 6), (3, 0)):
        answers = {f"n{i}": SEARCH if i < 4 else own_way(i) for i in range(4 + others)}
        found = compare(hand_in(answers | {"short": "x = 1"}) if pairs else hand_in(answers))
        assert len(found.pairs) == pairs and found.too_short == {("01", "probes"): int(bool(pairs))}
        assert found.shared == {("01", "probes"): 0 if pairs else 4}
        assert found.judged == {("01", "probes"): others + (4 if pairs else 0)}


def test_who_has_much_in_common_with_whom_comes_first():
    rows = hand_in({"ada": SEARCH, "bob": DISGUISED, "cleo": SEARCH, "dan": OTHERS[0]})
    rows += hand_in({"ada": OTHERS[0], "bob": OTHERS[1], "cleo": OTHERS[0]}, "other")
    rows += hand_in({"ada": OTHERS[1], "cleo": "x = 1"}, "short")
    rows += hand_in({"zoe": OTHERS[2], "yan": OTHERS[2]}, exercise="02")
    found = [(two.a, two.b, two.alike, two.compared) for two in compare(rows).people]
    assert found == [("ada", "cleo", 2, 2), ("yan", "zoe", 1, 1), ("ada", "bob", 1, 2), ("bob", "cleo", 1, 2)]


def test_too_short_is_not_judged_and_said():
    found = compare(
        hand_in({"a": "def f(x):\n    return 2 * x", "b": "def f(y):\n    return 2 * y", "c": SEARCH})
    )
    assert (
        found.pairs == ()
        and found.too_short == {("01", "probes"): 2}
        and found.judged == {("01", "probes"): 1}
    )


def test_the_border_of_what_is_enough(monkeypatch):
    size = len(winnow(hashes(tokens(SEARCH))))
    rows = hand_in({"a": SEARCH, "b": SEARCH})
    monkeypatch.setattr(similar, "ENOUGH", size)
    assert len(near_identical(rows)) == 1
    monkeypatch.setattr(similar, "ENOUGH", size + 1)
    assert near_identical(rows) == []


@pytest.mark.parametrize("status", ["empty", "missing"])
def test_what_nobody_wrote_is_no_answer(status):
    found = compare(hand_in({"a": SEARCH, "b": SEARCH}, status=status) + hand_in({"c": " \n", "d": ""}))
    assert found.pairs == () and not any(found.too_short.values()) and not any(found.judged.values())


def test_tasks_and_exercises_are_kept_apart():
    rows = (
        hand_in({"a": SEARCH}) + hand_in({"b": SEARCH}, task="other") + hand_in({"c": SEARCH}, exercise="02")
    )
    assert near_identical(rows) == []


def test_a_mark_for_speed_is_not_a_second_answer():
    (row,) = hand_in({"a": SEARCH})
    (mark,) = row.result.marks
    rows = [Row(name, Result("01", "graded", marks=(mark, mark))) for name in "ab"]
    assert len(near_identical(rows)) == 1 and compare(rows).judged == {("01", "probes"): 2}


def test_pairs_come_in_order():
    changed = SEARCH.replace("middle + 1", "middle + 2")
    rows = hand_in({"d": SEARCH, "c": changed, "b": SEARCH, "a": SEARCH})
    rows += hand_in({str(i): own_way(i) for i in range(4)})
    found = near_identical([*rows, *hand_in({"z": SEARCH, "y": SEARCH}, "a")], None, 0.7)
    exact = [("y", "z"), ("a", "b"), ("a", "d"), ("b", "d")]
    assert names(found) == [*exact, ("a", "c"), ("b", "c"), ("c", "d")]
    assert all(pair.likeness == 1 for pair in found[:4]) and found[4].likeness < 1
    assert all((pair.source_a == changed) == (pair.a == "c") for pair in found)


@pytest.mark.parametrize("threshold", [0, -1, 1.01, float("nan")])
def test_a_threshold_has_to_be_a_share(threshold):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        near_identical([], None, threshold)


def test_no_rows_no_pairs():
    assert near_identical([]) == []


HOSTILE = {
    "quotes": '\\"' * 50_000,
    "parentheses": "(" * 100_000,
    "signs": "-" * 100_000 + "1",
    "sum": "1+" * 50_000 + "1",
    "texts": "'''x\"\"\"" * 12_000,
    "nul": "a\0b=" * 25_000,
    "number": "x = 0x" + "f" * 99_000,
    "digits": "x = " + "1" * 99_000,
    "attributes": "a" + ".b" * 49_000,
    "nested": "".join(" " * i + "if 1:\n" for i in range(400)),
    "surrogates": "\ud800 = 1\n" * 9_000,
    "turned": "x = '\u202e\u2066'\n" * 5_000,
    "script": "<script>alert(1)</script>" * 4_000,
    "escape": "x = '\\d'\n" * 5_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_source_stops_the_comparison(name, recwarn):
    rows = hand_in({"a": HOSTILE[name], "b": HOSTILE[name], "c": SEARCH, "d": DISGUISED})
    assert ("c", "d") in names(near_identical(rows)) and not recwarn.list


def test_only_so_much_of_an_answer_is_looked_at():
    start = "x = [" + ", ".join(map(str, range(30_000)))
    assert len(start) > similar.LONGEST
    assert tokens(start + ", 1]") == tokens(start + ", 2]")


def test_tokens_by_hand():
    source = """def f(x: int, *, key="a") -> str:
    "Doc."
    y: float = np.log(x) ** 2  # why
    z: int
    return b'd' if y else f"{x}"
"""
    wanted = """def| f|(| x|,|*|,| key|=|""|)|:| y|=| np|.|log|(| x|)|**|2|return|""|if| y|else|"" """.strip()
    assert tokens(source) == wanted.split("|")
    torn = "def f(x):\n    '''Doc.'''\n    y = r'a' + 0x1f // 2.5e3 # why\n    return len(y"
    wanted = """def| f|(| x|)|:| y|=|""|+|0x1f|//|2.5e3|return|len|(| y"""
    assert tokens(torn) == wanted.split("|")


def test_variables_count_by_their_order_alone():
    def one(text):
        (value,) = hashes([f" {token}" for token in text.split()])
        return value

    assert one("a b a c b a") == one("x y x z y x") != one("a b b c b a")
    assert hashes([" a", "0", " b", "1", "+", "-"]) != hashes([" a", "1", " b", "0", "+", "-"])
    assert hashes([" a"] * (similar.K - 1)) == []


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 20), max_size=40),
    st.lists(st.integers(0, 20), max_size=40),
    st.lists(st.integers(0, 20), max_size=40),
    st.lists(st.integers(0, 20), max_size=40),
    st.lists(st.integers(0, 20), min_size=similar.K + similar.WINDOW - 1, max_size=30),
)
def test_what_is_shared_for_long_enough_shares_a_fingerprint(a, b, c, d, shared):
    """The guarantee of the paper, for the tokens of two streams around a common run."""
    one, other = ([str(n) for n in stream] for stream in (a + shared + b, c + shared + d))
    assert winnow(hashes(one)) & winnow(hashes(other))


@settings(deadline=None)
@given(st.lists(st.integers(), max_size=40))
def test_winnowing_keeps_the_least_of_each_window(values):
    """Fig. 2 of the paper, with positions: what is chosen is the least, and no window is without one."""
    kept = winnow(values)
    assert kept <= set(values) and bool(kept) == bool(values)
    for start in range(len(values) - similar.WINDOW + 1):
        assert min(values[start : start + similar.WINDOW]) in kept
    chosen = {min(values[max(0, i - 3) : i + 1]) for i in range(min(3, max(len(values) - 1, 0)), len(values))}
    assert kept == chosen


STATEMENTS = (
    "x = len(y) + 1",
    "for i in range(n): x += i",
    "y = [x, x, 2]",
    "z.sort()",
    "x, y = y, x",
    "y = x or 3",
)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(STATEMENTS), max_size=9), max_size=14),
    st.sampled_from([0.1, 0.5, 0.8, 0.9, 1.0]),
)
def test_it_agrees_with_comparing_all_pairs(programs, threshold):
    """Against the definition: every pair, Dice's coefficient of the sets without what most share."""
    answers = {f"{i:02}": "\n".join(program) or "pass" for i, program in enumerate(programs)}
    prints = {name: winnow(hashes(tokens(source))) for name, source in answers.items()}
    if len(answers) >= 10:
        counts = Counter(value for own in prints.values() for value in own)
        prints = {n: {v for v in own if counts[v] * 2 <= len(answers)} for n, own in prints.items()}
    wanted, alike = {}, Counter()
    for a, b in combinations(sorted(answers), 2):
        if min(len(prints[a]), len(prints[b])) >= 8:
            likeness = len(prints[a] & prints[b]) / ((len(prints[a]) + len(prints[b])) / 2)
            if likeness >= threshold:
                wanted[a, b] = pytest.approx(likeness)
                alike.update((a, b))
    many = {n for n, others in alike.items() if others >= 3 and 2 * (others + 1) > len(answers)}
    wanted = {both: likeness for both, likeness in wanted.items() if not many & set(both)}
    found = near_identical(hand_in(answers), None, threshold)
    assert {(p.a, p.b): p.likeness for p in found} == wanted


@settings(max_examples=30, deadline=None)
@given(st.lists(st.from_regex(r"[a-z]{2,6}_", fullmatch=True), min_size=5, max_size=5, unique=True))
def test_no_renaming_changes_anything(new):
    renamed = SEARCH
    for old, name in zip(("low", "high", "count", "middle", "target"), new, strict=True):
        renamed = re.sub(rf"\b{old}\b", name, renamed)
    assert hashes(tokens(renamed)) == hashes(tokens(SEARCH))


# The command


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "book.sqlite"
    with Gradebook(path) as gradebook:
        run = gradebook.start_run(1, "bubblewrap")
        for row in hand_in(
            {"ada": SEARCH.replace("0\n", "0  # \x1b[2J\n", 1), "bob \x1b[31m": DISGUISED, "cleo": OTHERS[0]},
            exercise="00_small",
        ):
            gradebook.record(run, row)
    return path


def similar_command(book, *options) -> int:
    return cli.main(["similar", "--gradebook", str(book), *options])


def test_the_command_prints_a_table(book, capsys):
    assert similar_command(book) == 0
    printed = capsys.readouterr().out
    assert (
        "1 pair of answers" in printed and "100 %" in printed and "ada" in printed and "cleo" not in printed
    )
    assert "Alike is not copied" in printed and "3 answers were compared" in printed
    assert "\x1b" not in printed and "␛[31m" in printed


def test_the_command_begins_with_the_persons_and_says_what_was_left_out(tmp_path, capsys):
    path = tmp_path / "book.sqlite"
    with Gradebook(path) as gradebook:
        run = gradebook.start_run(1, "bubblewrap")
        for name, other in (("ada", SEARCH), ("bob", SEARCH), ("cleo", OTHERS[0]), ("dan", OTHERS[1])):
            for row in hand_in({name: other}, exercise="00_a") + hand_in({name: SEARCH}, exercise="01_b"):
                gradebook.record(run, row)
    assert similar_command(path) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.startswith("1 pair of learners with answers alike") and "bob │ 1 of 1" in printed
    assert printed.index("1 pair of learners") < printed.index("1 pair of answers")
    assert "4 answers were compared. 4 were left out, as more than half of the class" in printed
    assert "shares them (01_b, probes: 4)" in printed and "too short" not in printed


def test_the_command_shows_a_pair(book, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    assert similar_command(book, "--show", "1", "--lines", "4") == 0
    printed = capsys.readouterr().out
    assert "while low < high:" in printed and "␛[2J" in printed and "'''Now we loop.'''" in printed
    assert "middle = " not in printed and printed.count("13 lines") == 2
    assert "\x1b" not in printed


def test_the_threshold_and_the_exercise_are_heard(book, capsys):
    assert similar_command(book, "--threshold", "0.1", "--exercise", "00_small") == 0
    assert "3 pairs of answers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--threshold", "2"], "at most 1"),
        (["--show", "2"], "from 1 to 1"),
        (["--show", "0"], "from 1 to 1"),
        (["--show", "1", "--lines", "0"], "1 or more"),
        (["--exercise", "07"], "it has 00_small"),
        (["--solutions", "nowhere"], "is not a folder"),
    ],
)
def test_what_cannot_be_done_is_said(book, capsys, options, words):
    assert similar_command(book, *options) == 2
    error = capsys.readouterr().err
    assert words in error and len(error.splitlines()) == 1


def test_what_was_handed_out_comes_from_the_keys(solutions, tmp_path):
    from coursekit.grading.commands.places import find_keys
    from coursekit.grading.exercise.release import handed_out

    key = (solutions / "00_small.ipynb").read_bytes()
    (tmp_path / "keys").mkdir()
    for path in (tmp_path / "keys" / "00_small.ipynb", tmp_path / "outside.ipynb"):
        path.write_bytes(key)
    rows = hand_in({"ada": DOUBLE}, "double", "00_small")
    rows += [r for name in ("../outside", "99_no_key") for r in hand_in({"ada": SEARCH}, exercise=name)]
    found = handed_out(find_keys(rows, tmp_path / "keys", tmp_path))
    assert set(found) == {"00_small/double", "00_small/total", "00_small/mean"}
    assert "Twice x" in found["00_small/double"] and "return" not in found["00_small/double"]


def test_a_broken_key_is_named_where_the_folder_was(tmp_path):
    from coursekit.grading.commands.places import find_keys

    (tmp_path / "solutions").mkdir()
    (tmp_path / "solutions" / "00_small.ipynb").write_text("{")
    rows = hand_in({"ada": SEARCH}, exercise="00_small")
    assert find_keys(rows, None, tmp_path) == {}
    with pytest.raises(ValueError, match="00_small"):
        find_keys(rows, tmp_path / "solutions", tmp_path)
