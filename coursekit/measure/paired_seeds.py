"""Whether a method is better than another over several seeds: the same seeds for both, and their differences."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Paired:
    """What `paired` found: the mean of a - b with its 95 % interval, and two p-values.

    Attributes
    ----------
    value, low, high : float
        Mean difference and Student's interval, in the unit of a and b.
    p : float
        Of the paired t-test.
    p_ranks : float
        Of Wilcoxon's signed-rank test, which supposes no normal distribution; with n pairs it is never below 2 / 2ⁿ.
    n : int
        Pairs.
    """

    value: float
    low: float
    high: float
    p: float
    p_ranks: float
    n: int

    @property
    def different(self) -> bool:
        """Whether the t-test's p is below 0.05."""
        return self.p < 0.05

    def __repr__(self) -> str:
        numbers = f"{self.value:+.3g} ({self.low:+.3g} to {self.high:+.3g}), {self.n} pairs"
        tests = f"p = {self.p:.2g}, by ranks {self.p_ranks:.2g}"
        if not self.different:
            return f"not different at 95 %: a - b is {numbers}, {tests}"
        return f"{'a' if self.value > 0 else 'b'} is larger: a - b is {numbers}, {tests}"


def paired(a, b) -> Paired:
    """Compare two methods that were tried with the same seeds, such as the accuracies of models they trained.

    The paired t-test (Student 1908) and F. Wilcoxon's signed-rank test (Biometrics Bulletin 1, 1945), two-sided. Pairs
    that are equal have no part in the ranks. What differs between pairs is what was drawn anew for each: over seeds of
    one training set and one test set they say nothing of other data; `mcnemar` is for two models and one test set.

    Parameters
    ----------
    a, b : array-like, shape (n,)
        ``a[i]`` and ``b[i]`` from the same seed; n at least 2.

    Raises
    ------
    ValueError
        If they are not of one length, shorter than 2, or hold NaN or infinity.
    """
    from scipy.stats import ttest_rel

    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if a.ndim != 1 or a.shape != b.shape or len(a) < 2:
        raise ValueError(
            f"a and b must be as long, at least 2 values each; got shapes {a.shape} and {b.shape}"
        )
    if not np.isfinite([a, b]).all():
        raise ValueError("a and b must be finite; got NaN or infinity")
    differences = a - b
    mean = float(differences.mean())
    if np.ptp(differences) < 1e-12 * max(1.0, abs(mean)):  # no spread, and nothing for a t-test to divide by
        return Paired(mean, mean, mean, float(abs(mean) < 1e-12), _by_ranks(differences), len(a))
    test = ttest_rel(a, b)
    interval = test.confidence_interval(0.95)
    return Paired(
        mean, *map(float, (interval.low, interval.high, test.pvalue)), _by_ranks(differences), len(a)
    )


def _by_ranks(differences: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    moved = differences[np.abs(differences) > 1e-12]  # accuracies that are equal may differ in their last bit
    return float(wilcoxon(np.round(moved, 12)).pvalue) if len(moved) else 1.0
