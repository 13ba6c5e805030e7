"""Points for speed: what earns them, and what does not although it says so."""

import math
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from coursekit.grading.course.classroom import RACING, Options, grade_class, read_class
from coursekit.grading.course.gradebook import Gradebook, Row
from coursekit.grading.exercise.key import load_key
from coursekit.grading.kernels import sandbox
from coursekit.grading.kernels.kernel import Isolation
from coursekit.grading.kernels.pool import Pool
from coursekit.grading.marking import race
from coursekit.grading.marking.grade import expected, mark
from coursekit.grading.marking.result import Mark
from tests.grading.conftest import TOTAL, code, key_cells, write_notebook

pytestmark = pytest.mark.alone
RACE = "from coursekit.grading.judge import race\n\nrace(total, lambda rng: [rng.normal(size=100_000)])"
SLOW = TOTAL.replace("    s = 0.0", "    for _ in range(40):\n        for v in x: pass\n    s = 0.0")


def racing_key(folder, source=RACE, points=4):
    cells = key_cells()
    cells.insert(12, code(source, "race", "total", points=points))
    return load_key(write_notebook(folder / "solutions" / "00_small.ipynb", cells))


@pytest.fixture(scope="module")
def racing(tmp_path_factory):
    return racing_key(tmp_path_factory.mktemp("race"))


@pytest.fixture(scope="module")
def pool():
    with Pool(Isolation(sandboxed=not sandbox.missing()), ahead=1) as found:
        yield found


@pytest.fixture(scope="module")
def run(racing, pool):
    key = racing
    right = {name: task.solution for name, task in key.tasks.items()}
    wanted = expected(key, 3, pool=pool)

    def of(total: str):
        """The result for an answer to the raced task, and the mark for its speed."""
        answers = right | {"total": total}
        result = race.add_races(key, answers, mark(key, answers, wanted, 3, pool=pool), pool)
        return result, next(m for m in result.marks if m.title.endswith(": speed"))

    return of


def test_points_are_all_up_to_1_2_and_none_from_10():
    assert [race.points_for(r, 4) for r in (0.0, 0.01, 1.0, 1.2)] == [4] * 4
    assert [race.points_for(r, 4) for r in (10, 11, 1e9, math.inf)] == [0] * 4
    assert race.points_for(math.sqrt(1.2 * 10), 4) == 2, "half of them in the middle of the logarithm"


def test_a_key_says_how_many_times_earn_nothing_and_points_are_rounded_down():
    assert [race.points_for(r, 3, 3) for r in (1.2, 1.21, 1.6, 1.7, 2.2, 2.3, 3)] == [3, 2, 2, 1, 1, 0, 0]
    assert race.points_for(2.9, 3) == 1, "ten times where the key says nothing"


def test_points_are_whole_and_the_page_says_where_they_go():
    page = (Path(__file__).parents[2] / "docs" / "exercises.md").read_text(encoding="utf-8")
    one, both = map(
        float, re.search(r"one is lost above ([\d.]+) times\s+and both above ([\d.]+)", page).groups()
    )
    assert [race.points_for(r, 2) for r in (one, one + 0.01, both, both + 0.01)] == [2, 1, 1, 0]


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(1, 20))
def test_who_is_faster_never_has_less(a, b, possible):
    assert race.points_for(min(a, b), possible) >= race.points_for(max(a, b), possible)


@given(st.lists(st.floats(0.01, 1), min_size=7, max_size=41), st.floats(0.5, 20))
def test_the_interval_holds_the_median_and_time_beside_the_call_does_not_count(times, factor):
    from types import SimpleNamespace

    laps = [(t + 0.005, factor * t + 0.005, 0.005) for t in times]
    found = race._ratio(laps, SimpleNamespace(name="x"))
    assert found.low <= found.median <= found.high and found.laps == len(times)
    middle = sorted(times)[len(times) // 2]
    if min(times) > middle / 1.9:  # a lap much shorter than the others counts as half of the median
        assert found.median == pytest.approx(factor)


@pytest.mark.parametrize("laps", range(1, 42))
def test_the_interval_of_a_median_is_that_of_the_binomial(laps):
    assert race._cut(laps) == max(int(binom.ppf(0.025, laps, 0.5)) - 1, 0)


def test_points_of_a_race_are_part_of_the_exercise(racing):
    assert racing.points == 6 + 4 and racing.tasks["total"].race_points == 4


COUNTED = """from coursekit.grading.judge import race


def steps(x):
    count = []
    value = total(type("Counted", (), {"__iter__": lambda self: (count.append(v) or v for v in x)})())
    return value, %s


race(steps, lambda rng: [rng.normal(size=100)])"""
TWICE = TOTAL.replace("    s = 0.0", "    for v in x: pass\n    s = 0.0")


def test_a_race_that_counts_takes_no_time(tmp_path, pool):
    cells = key_cells()
    cells.insert(12, code(COUNTED % "len(count)", "race", "total", points=4, counts="steps", none=3))
    key = load_key(write_notebook(tmp_path / "solutions" / "00_small.ipynb", cells))
    right, wanted = {name: task.solution for name, task in key.tasks.items()}, expected(key, 3, pool=pool)

    def counted(source):
        answers = right | {"total": source}
        result = race.add_races(key, answers, mark(key, answers, wanted, 3, pool=pool), pool)
        return next(m for m in result.marks if m.title.endswith(": steps"))

    assert (counted(TOTAL).points, counted(TOTAL).status) == (4, "fast")
    twice = counted(TWICE)
    assert (twice.points, twice.status) == (1, "slow") and twice.message.startswith("600 steps, 2.00 times")
    assert "once its answer is right" in counted("def total(x):\n    return 0.0").message
    few = TOTAL.replace("in x:", "in x if hasattr(x, '__len__') else ():")
    assert "number of steps above 0" in counted(few).message


def test_counts_earn_all_up_to_1_1():
    assert [race.points_for(r, 4, 3, race.FULL_COUNT) for r in (0.5, 1.1, 1.11, 3)] == [4, 4, 3, 0]


@pytest.mark.slow
def test_the_solution_is_as_fast_as_itself_ten_times_out_of_ten(run):
    for _ in range(10):
        result, speed = run(TOTAL)
        assert (speed.points, speed.status, result.is_full) == (4, "fast", True), speed.message
        assert "times the solution's time (" in speed.message


def test_an_answer_40_times_as_slow_is_right_and_earns_nothing_for_speed(run):
    result, speed = run(SLOW)
    assert (speed.points, speed.status) == (0, "slow") and result.points == 6


def test_a_faster_answer_earns_no_more_than_all(run):
    _, speed = run("def total(x):\n    return float(np.add.reduce(np.asarray(x, dtype=float)))")
    assert speed.points == 4 and speed.status == "fast"


def test_a_wrong_answer_is_not_raced(run):
    _, speed = run("def total(x):\n    return 0.0")
    assert (speed.points, speed.status) == (0, "waiting") and "once its answer is right" in speed.message


HEAD = "import coursekit.grading.judge as j\n"
LATER = """
_lap, _reveal = j.lap, j.reveal
def lap(seed):
    j._Race.seed = seed
    j._display({"case": "lap", "value": {"kind": "text", "value": "x"}})
def reveal():
    _lap(j._Race.seed)
    _reveal()
j.lap, j.reveal = lap, reveal
"""
CHEATS = {
    "right on small inputs only": (
        "def total(x):\n    s = 0.0\n    for v in x[:1000]: s += v\n    return s",
        "on other inputs, it is not right",
    ),
    "a digest of nothing": (
        HEAD + "j.digest = lambda encoded: '0' * 64\n" + SLOW,
        "not the one it had when its time was taken",
    ),
    "the value later": (
        HEAD + SLOW + LATER,
        "not the one it had when its time was taken",
    ),
    "done before it is done": (
        HEAD + SLOW + "\ndef _idle(seed, _true=j.lap):\n    k = get_ipython().kernel\n"
        "    k.session.send(k.iopub_socket, 'status', {'execution_state': 'idle'}, parent=k.get_parent())\n"
        "    _true(seed)\nj.lap = _idle",
        "not the one it had when its time was taken",
    ),
    "the same inputs each time": (
        HEAD
        + "j.race = lambda f, draw: setattr(j._Race, 'draw', staticmethod(lambda rng: [[1.0]])) or setattr("
        "j._Race, 'function', staticmethod(f))\n" + TOTAL,
        "not right",
    ),
    "an exception in the race": (
        "def total(x):\n    if len(x) > 1000: raise KeyError('long')\n    return float(np.add.reduce(x))",
        "KeyError",
    ),
    "the end in the race": (
        "import os\ndef total(x):\n    if len(x) > 1000: os._exit(0)\n    return float(np.add.reduce(x))",
        "ended the Python process",
    ),
    "no end in the race": (
        "def total(x):\n    while len(x) > 1000: pass\n    return float(np.add.reduce(x))",
        "stopped after 4 s",
    ),
}


@pytest.mark.parametrize(("source", "words"), CHEATS.values(), ids=CHEATS)
def test_what_only_seems_fast_earns_nothing(run, source, words):
    result, speed = run(source)
    assert (speed.points, speed.status) == (0, "slow"), speed.message
    assert words in speed.message and result.points == 6


def test_clocks_in_the_kernel_do_not_matter(run):
    patched = "import time\ntime.perf_counter = time.time = time.monotonic = lambda: 0.0\n"
    assert run(patched + SLOW)[1].points == 0


def test_a_thread_left_behind_does_not_slow_the_solution(run):
    busy = (
        "import threading\ndef _spin():\n    import time\n    until = time.monotonic() + 60\n"
        "    while time.monotonic() < until: sum(range(100))\n"
        "for _ in range(4): threading.Thread(target=_spin, daemon=True).start()\n"
    )
    assert run(busy + SLOW)[1].points == 0


def test_a_race_too_short_to_time_is_the_keys_own_fault(tmp_path, pool):
    key = racing_key(tmp_path, RACE.replace("100_000", "1"))
    answers = {name: task.solution for name, task in key.tasks.items()}
    result = mark(key, answers, expected(key, 3, pool=pool), 3, pool=pool)
    with pytest.raises(race.BadRace, match=r"'total' takes .* ms in its race, too little to be timed"):
        race.add_races(key, answers, result, pool)


def test_times_and_ratios_are_never_nothing():
    assert [race._milliseconds(s) for s in (0, 9e-6, 1.26e-4, 0.00199)] == [
        "under 0.01 ms",
        "under 0.01 ms",
        "0.13 ms",
        "2 ms",
    ]
    assert [race._times(r) for r in (0, 0.009, 0.0123, 0.5, 1.26)] == [
        "under 0.01",
        "under 0.01",
        "0.012",
        "0.5",
        "1.3",
    ]


def test_a_race_is_too_short_only_where_every_try_was(monkeypatch, racing):
    """On a busy machine one try says nothing; the best of them is told."""
    task = racing.tasks["total"]
    waiting = Mark("total", "", 0, 4, "waiting", "")
    good = race.Ratio(1.0, 1.0, 1.0, 7)
    for tries, wanted in (
        ([0.0, 0.001, good], good),
        ([0.0, 0.00123, 0.0005], "'total' takes 1.2 ms in its race, too little to be timed; wanted: 2 ms"),
    ):
        left = list(tries)

        def measure(*_, left=left):
            if isinstance(found := left.pop(0), float):
                raise race.TooShort("total", found)
            return found

        monkeypatch.setattr(race, "measure", measure)
        if wanted is good:
            assert race._race(racing, task, {}, waiting, None).points == 4
        else:
            with pytest.raises(race.BadRace, match=wanted):
                race._race(racing, task, {}, waiting, None)
        assert left == []


@pytest.mark.parametrize(
    "rounds, points, laps",
    [
        ([(1.1, 1.0, 1.2)], 4, 1),
        ([(4.0, 3.9, 4.1), (1.1, 1.0, 1.2)], 4, 2),
        ([(4.0, 3.9, 4.1), (4.2, 4.1, 4.3)], 1, 2),
        ([(4.0, 3.9, 4.1), (3.0, 1.1, 5.0), (4.2, 4.1, 4.3)], 1, 3),
        ([(4.0, 3.9, 4.1), (3.0, 1.1, 5.0), (3.0, 1.1, 5.0)], 4, 3),
        ([(3.0, 1.1, 5.0), (4.0, 3.9, 4.1), (20.0, 18.0, 22.0)], 1, 3),
    ],
)
def test_points_are_lost_only_where_two_rounds_agree(monkeypatch, racing, rounds, points, laps):
    """Something else that ran on the machine for half a minute had cost a right and fast answer a point."""
    left = [race.Ratio(*each, 9) for each in rounds]
    monkeypatch.setattr(race, "measure", lambda *_: left.pop(0))
    mark = race._race(racing, racing.tasks["total"], {}, Mark("total", "", 0, 4, "waiting", ""), None)
    assert (mark.points, len(rounds) - len(left)) == (points, laps), mark.message


def test_what_is_returned_in_a_race_is_bounded_and_its_arguments_are_a_list():
    from coursekit.grading import judge

    judge.race(np.zeros, lambda rng: [600_000])
    with pytest.raises(
        ValueError, match="array has 600000 elements; at most 500,000 are compared, so return"
    ):
        judge.lap(1)
    judge.race(np.zeros, lambda rng: rng.normal(size=3))
    for lap in (judge.lap, judge.idle_lap):
        with pytest.raises(
            TypeError, match="race returned ndarray; wanted: a list of the arguments, as in race"
        ):
            lap(1)


def test_what_is_prepared_before_the_clock_runs_is_there_in_the_lap():
    from coursekit.grading import judge

    seen, prepared = [], []
    judge.race(
        lambda x, rows: seen.append((id(x), *rows)),
        lambda rng, x: [x, rng.integers(10**6, size=2)],
        lambda rng: prepared.append(rng.normal(size=9)) or prepared[-1:],
    )
    for seed in (1, 2):
        judge.prepare(seed)
        judge.lap(3)
        judge.lap(4)
        judge.idle_lap(5)
    assert len(prepared) == 2 and not np.array_equal(*prepared), (
        "once before each lap, from a seed of its own"
    )
    assert [found[0] for found in seen] == [id(x) for x in prepared for _ in range(2)]
    assert seen[0][1:] == seen[2][1:] != seen[1][1:] == seen[3][1:], "the lap's seed chooses"
    judge.race(lambda x: x, lambda rng: [1])
    judge.prepare(1)
    judge.lap(1)


def test_a_class_is_raced_when_all_is_marked_and_a_stopped_run_races_on(tmp_path, hand_in, right):
    key = racing_key(tmp_path)
    group, book = tmp_path / "class", tmp_path / "book.sqlite"
    for name, total in (("ada", TOTAL), ("bob", SLOW), ("cleo", "def total(x):\n    return 1")):
        hand_in(group / name / "00_small.ipynb", right | {"total": total})
    options = Options(workers=2, sandboxed=not sandbox.missing())
    found = read_class(group, tmp_path / "solutions")
    with Gradebook(book) as gradebook:
        running = grade_class(found, gradebook, options)
        first = next(running)  # what is final comes first: nothing of this one is to be raced
        while len(gradebook.rows()) < 3:
            next(running)
        running.close()
        before = {row.learner: row for row in gradebook.rows()}
        assert first.learner == "cleo" and before["bob"].result.status in (RACING, "graded")
        assert {row.learner for row in grade_class(found, gradebook, options)} == {"ada", "bob", "cleo"}
        rows: dict[str, Row] = {row.learner: row for row in gradebook.rows()}
    assert {name: (row.result.status, row.result.points) for name, row in rows.items()} == {
        "ada": ("graded", 10),
        "bob": ("graded", 6),
        "cleo": ("graded", 1),
    }
    assert all(row.result.possible == key.points for row in rows.values())
    assert len({row.run for row in rows.values()}) == 1


def test_a_race_too_short_says_so_from_another_process_too():
    error = pickle.loads(pickle.dumps(race.TooShort("double", 0.0004)))
    assert error.seconds == 0.0004
    assert str(error).startswith("the solution of 'double' takes 0.4 ms in its race")
