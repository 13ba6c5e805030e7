"""The clock is an argument, so these tests decide what time it is: none depends on this machine's speed."""

import gc

import numpy as np
import pytest

from coursekit.measure import CandidateError, compare, latency
from coursekit.measure.clock import Comparison, Ratio, Timing, calibrate, median_interval


class FakeMachine:
    """A clock that only work moves, with log-normal noise and slow spells that last many samples."""

    def __init__(self, seed=0, noise=0.05):
        self.now_ns, self.rng, self.noise = 0.0, np.random.default_rng(seed), noise

    def clock(self):
        return int(self.now_ns)

    def work(self, microseconds):
        def run():
            slow_spell = 1.8 if (self.now_ns // 40e6) % 3 == 0 else 1.0
            self.now_ns += 1000 * microseconds * slow_spell * np.exp(self.noise * self.rng.standard_normal())

        return run


def measured(seed, slow_us, noise=0.05):
    machine = FakeMachine(seed, noise)
    candidates = {"a": machine.work(200), "b": machine.work(slow_us)}
    return compare(candidates, budget_s=0.1, clock=machine.clock, seed=seed)


def test_equal_candidates_are_not_called_different():
    verdicts = [measured(seed, 200).ratio("a", "b").different for seed in range(60)]
    assert np.mean(verdicts) <= 0.10


def test_a_candidate_that_takes_half_as_long_again_is_found_through_noise_and_slow_spells():
    for seed in range(30):
        ratio = measured(seed, 300, noise=0.3).ratio("a", "b")
        assert ratio.different
        assert ratio.low <= ratio.median <= ratio.high
        assert 1.3 < ratio.median < 1.7


def test_medians_are_seconds_per_call():
    machine = FakeMachine(noise=0)
    machine.work = lambda us: lambda: setattr(machine, "now_ns", machine.now_ns + 1000 * us)
    result = compare({"a": machine.work(3), "b": machine.work(7000)}, clock=machine.clock, budget_s=0.1)
    assert result["a"].median == pytest.approx(3e-6)
    assert result["b"].median == pytest.approx(7e-3)
    assert result["a"].calls > 50
    assert result["b"].calls == 1
    assert result.fastest == "a"


def test_the_order_changes_from_round_to_round_and_every_round_holds_everyone():
    machine, order = FakeMachine(), []

    def candidate(name):
        work = machine.work(5000)
        return lambda: (order.append(name), work())

    result = compare({n: candidate(n) for n in "abc"}, clock=machine.clock, budget_s=0.5, min_rounds=20)
    rounds = ["".join(order[i : i + 3]) for i in range(len(order) - 3 * result.rounds, len(order), 3)]
    assert all(sorted(one) == ["a", "b", "c"] for one in rounds)
    assert len(set(rounds)) == 6


def test_the_budget_ends_the_rounds_but_not_before_the_least_number():
    machine = FakeMachine(noise=0)
    assert compare({"slow": machine.work(1e6)}, clock=machine.clock, budget_s=0.1).rounds == 7
    machine = FakeMachine(noise=0)
    many = compare({"quick": machine.work(1000)}, clock=machine.clock, budget_s=1).rounds
    assert 100 < many < 1000


def test_calibration_reaches_the_target_and_not_much_more():
    now = [0]

    def run(calls, clock):
        now[0] += 30 * calls
        return 30 * calls

    calls = calibrate(run, lambda: now[0], target_ns=1e6)
    assert 1e6 <= 30 * calls <= 1.3e6


def test_one_interruption_does_not_end_the_calibration():
    now, tries = [0], [0]

    def run(calls, clock):
        tries[0] += 1
        taken = 100 * calls + (2_000_000 if tries[0] == 2 else 0)
        now[0] += taken
        return taken

    assert calibrate(run, lambda: now[0], target_ns=1e6) >= 10_000


def test_work_that_the_clock_does_not_see_is_bounded_by_the_wall():
    wall = [0]

    def sleeps(calls, clock):
        wall[0] += 10_000_000 * calls
        return 10 * calls

    assert calibrate(sleeps, lambda: 0, target_ns=1e6, wall=lambda: wall[0]) < 100


def test_the_garbage_collector_is_off_in_a_sample_and_restored_even_after_an_error():
    machine, seen = FakeMachine(), []
    work = machine.work(500)
    compare({"a": lambda: (seen.append(gc.isenabled()), work())}, clock=machine.clock, budget_s=0.01)
    assert not any(seen)
    assert gc.isenabled()
    with pytest.raises(CandidateError):
        compare({"bad": lambda: 1 / 0})
    assert gc.isenabled()
    gc.disable()
    try:
        compare({"a": work}, clock=machine.clock, budget_s=0.01)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_candidate_that_raises_is_named():
    with pytest.raises(CandidateError, match="'broken' raised ZeroDivisionError") as caught:
        compare({"fine": lambda: None, "broken": lambda: 1 / 0}, budget_s=0.01)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_wrong_arguments_are_refused_with_a_reason():
    with pytest.raises(ValueError, match="empty"):
        compare({})
    with pytest.raises(TypeError, match=r"'a' must be a function.*got float"):
        compare({"a": 3.0})
    with pytest.raises(ValueError, match="'wall', 'cpu'"):
        compare({"a": int}, clock="sundial")
    with pytest.raises(ValueError, match="budget_s"):
        compare({"a": int}, budget_s=0)
    with pytest.raises(ValueError, match="did not advance"):
        compare({"a": int}, clock=lambda: 0)
    with pytest.raises(KeyError, match="'a', 'b'"):
        measured(0, 300).ratio("a", "c")


@pytest.mark.parametrize("clock", ["wall", "cpu"])
def test_the_real_clocks_give_positive_times(clock):
    result = compare({"a": lambda: sum(range(100))}, budget_s=0.02, clock=clock)
    assert (result["a"].samples > 0).all()
    assert result.clock == clock


def test_median_interval_holds_the_median_about_95_times_in_100():
    rng = np.random.default_rng(0)
    draws = rng.exponential(size=(2000, 25))
    low, high = np.array([median_interval(draw) for draw in draws]).T
    holds = np.mean((low <= np.log(2)) & (np.log(2) <= high))
    assert 0.94 < holds < 0.98


def test_median_interval_takes_the_order_statistics_of_the_tables():
    # D. B. Owen's tables: n = 6 gives the extremes, n = 10 the 2nd and 9th, n = 25 the 8th and 18th.
    assert median_interval(np.arange(1, 7)) == (1, 6)
    assert median_interval(np.arange(1, 11)) == (2, 9)
    assert median_interval(np.arange(1, 26)) == (8, 18)
    assert median_interval(np.arange(5)) == (-np.inf, np.inf)


def test_ratio_says_what_it_found():
    assert str(Ratio("a", "b", 1.91, 1.85, 1.97)) == "a is 1.91x as fast as b (1.85 to 1.97)"
    assert str(Ratio("a", "b", 1.00, 0.97, 1.04)) == "a and b are not different (0.97x to 1.04x)"
    assert str(Ratio("a", "b", 0.5, 0.4, 0.8)) == "b is 2.00x as fast as a (1.25 to 2.50)"
    assert str(Ratio("a", "b", 1.006, 1.004, 1.008)) == "a is 1.006x as fast as b (1.004 to 1.008)"


def test_ratio_divides_within_the_round():
    a, b = np.array([1.0, 10.0, 100.0, 1, 1, 1, 1]), np.array([2.0, 20.0, 200.0, 2, 2, 2, 2])
    result = Comparison({"a": Timing("a", a, 1), "b": Timing("b", b, 1)}, "wall")
    assert result.ratio("a", "b") == Ratio("a", "b", 2.0, 2.0, 2.0)


def test_a_comparison_prints_as_text_and_as_html():
    result = measured(0, 300)
    assert str(result).splitlines()[0].split()[0] == "candidate"
    assert "200 µs" in str(result) or "µs" in str(result)
    assert '<th scope="row">a</th>' in result._repr_html_()
    awkward = Comparison({"<b>": result["a"]}, "wall")
    assert "&lt;b&gt;" in awkward._repr_html_()


def test_latency_gives_percentiles_of_single_calls():
    machine, calls = FakeMachine(noise=0), [0]

    def serve():
        calls[0] += 1
        machine.now_ns += 50_000 if calls[0] % 20 == 0 else 1_000

    result = latency(serve, calls=400, clock=machine.clock)
    assert len(result.samples) == 400
    assert (result.p50, result.p90, result.p99) == pytest.approx((1e-6, 1e-6, 50e-6))
    assert "p50 1.00 µs" in str(result)


def test_latency_stops_at_its_budget_after_twenty_calls():
    machine = FakeMachine(noise=0)
    assert len(latency(machine.work(1e5), calls=1000, budget_s=0.1, clock=machine.clock).samples) == 20
