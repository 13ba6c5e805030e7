import numpy as np
import pytest

from coursekit.measure import fit_slope, trend

SIZES = np.array([64, 128, 256, 512, 1024])


@pytest.mark.parametrize("power", [1, 2, 3])
def test_a_power_law_gives_its_exponent_exactly(power):
    fit = fit_slope(SIZES, 3e-9 * SIZES**power)
    assert fit.value == pytest.approx(power)
    assert fit.coefficient == pytest.approx(3e-9)
    assert fit.stderr == pytest.approx(0, abs=1e-9)


def test_n_log_n_lies_a_little_above_one():
    assert 1.1 < fit_slope(SIZES, SIZES * np.log2(SIZES)).value < 1.25


def test_the_interval_agrees_with_scipy_and_holds_the_exponent_95_times_in_100():
    from scipy.stats import linregress

    rng = np.random.default_rng(0)
    holds = []
    for _ in range(1000):
        times = SIZES**2 * np.exp(0.1 * rng.standard_normal(5))
        fit = fit_slope(SIZES, times)
        holds.append(fit.low <= 2 <= fit.high)
    line = linregress(np.log(SIZES), np.log(times))
    assert (fit.value, fit.stderr) == pytest.approx((line.slope, line.stderr))
    assert 0.93 < np.mean(holds) < 0.97


def test_two_sizes_give_a_slope_without_an_interval():
    fit = fit_slope([10, 100], [1, 100])
    assert fit.value == pytest.approx(2)
    assert np.isnan(fit.stderr)
    assert (fit.low, fit.high) == (-np.inf, np.inf)


def test_what_has_no_logarithm_or_no_line_is_refused():
    with pytest.raises(ValueError, match="positive"):
        fit_slope([1, 2, 3], [0, 1, 2])
    with pytest.raises(ValueError, match="two different sizes"):
        fit_slope([5, 5], [1, 2])
    with pytest.raises(ValueError, match="equally long"):
        fit_slope([1, 2, 3], [1, 2])
    with pytest.raises(ValueError, match="two different positive"):
        trend(lambda n: int, [8])


def quadratic(now):
    def make(n):
        def run():
            now[0] += n * n

        return run

    return make


def test_trend_measures_each_size_and_finds_the_slope():
    now = [0]
    found = trend(quadratic(now), [400, 100, 200, 800], clock=lambda: now[0], budget_s=0.01)
    assert found.sizes.tolist() == [100, 200, 400, 800]
    assert found.medians == pytest.approx(found.sizes**2 * 1e-9)
    assert (found.lows <= found.medians).all()
    assert (found.medians <= found.highs).all()
    assert found.slope == pytest.approx(2)
    assert found.local_slopes == pytest.approx([2, 2, 2])
    assert "slope 2.00" in str(found)
    assert "<table>" in found._repr_html_()


def test_trend_does_not_time_the_preparation():
    now = [0]

    def make(n):
        now[0] += 10**9
        return quadratic(now)(n)

    assert trend(make, [100, 200], clock=lambda: now[0], budget_s=0.01).slope == pytest.approx(2)
