"""How good predictions are, with intervals: a difference smaller than its interval is no difference.

Accuracy, precision, recall and F1 are those of scikit-learn; a class that is never predicted has precision 0.
"""

from dataclasses import dataclass, field

import numpy as np

from coursekit.measure.text import html_table, text_table

RESAMPLES = 1000


@dataclass(frozen=True)
class Estimate:
    """A proportion and its 95 % interval, as fractions; prints in percent."""

    value: float
    low: float
    high: float

    def __float__(self) -> float:
        return self.value

    def __repr__(self) -> str:
        return f"{100 * self.value:.1f} % ({100 * self.low:.1f}–{100 * self.high:.1f})"


@dataclass(frozen=True)
class Quality:
    """What `quality` found. The macro values are means over the classes; `per_class[label]` has the same names.

    `confusion[i, j]` counts the examples of class labels[i] that were predicted to be labels[j].
    """

    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    labels: tuple
    per_class: dict = field(repr=False)
    confusion: np.ndarray = field(repr=False)

    @property
    def n(self) -> int:
        return int(self.confusion.sum())

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        header = ["class", "precision", "recall", "F1", "examples"]
        rows = [["macro mean", str(self.precision), str(self.recall), str(self.f1), str(self.n)]]
        for label, one in self.per_class.items():
            percents = [f"{100 * one[name]:.1f} %" for name in ("precision", "recall", "f1")]
            rows.append([str(label), *percents, str(one["examples"])])
        return header, rows

    def __repr__(self) -> str:
        return f"accuracy {self.accuracy} on {self.n} examples\n{text_table(*self._rows())}"

    def _repr_html_(self) -> str:
        return html_table(*self._rows(), caption=f"accuracy {self.accuracy}")


@dataclass(frozen=True)
class Difference:
    """Accuracy of a minus accuracy of b, with its 95 % interval and the p-value of McNemar's exact test.

    `only_a` and `only_b` count the examples that only one of them has right.
    """

    value: float
    low: float
    high: float
    p: float
    only_a: int
    only_b: int

    @property
    def different(self) -> bool:
        """Whether p is below 0.05."""
        return self.p < 0.05

    def __repr__(self) -> str:
        points = f"{100 * self.value:+.1f} points ({100 * self.low:+.1f} to {100 * self.high:+.1f}), p = {self.p:.2g}"
        if not self.different:
            return f"not different at 95 %: a - b is {points}"
        return f"{'a' if self.value > 0 else 'b'} is better: a - b is {points}"


def quality(y_true, y_pred, *, seed: int = 0) -> Quality:
    """Compare predicted with true classes.

    y_true, y_pred: labels, shape (n,), arrays, lists or tensors. Accuracy has Wilson's interval (E. B. Wilson,
    JASA 22, 1927); the macro values have percentile intervals of a bootstrap over the examples (B. Efron,
    R. Tibshirani, An Introduction to the Bootstrap, 1993), from `seed`.
    Raises ValueError, naming the argument, for what is empty, not one-dimensional or of unequal length.
    """
    from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

    y_true, y_pred = _labels("y_true", y_true), _labels("y_pred", y_pred)
    _same_length(y_true, y_pred=y_pred)
    labels = np.unique(np.concatenate([y_true, y_pred]))
    confusion = confusion_matrix(y_true, y_pred, labels=labels)
    scores = precision_recall_fscore_support(y_true, y_pred, labels=labels, zero_division=0.0)
    low, high = _bootstrap(confusion, seed)
    macro = [Estimate(*map(float, v)) for v in zip((s.mean() for s in scores[:3]), low, high, strict=True)]
    names = ("precision", "recall", "f1", "examples")
    each = zip(labels.tolist(), *(s.tolist() for s in scores), strict=True)
    per_class = {label: dict(zip(names, values, strict=True)) for label, *values in each}
    accuracy = wilson(int(np.trace(confusion)), len(y_true))
    return Quality(accuracy, *macro, tuple(labels.tolist()), per_class, confusion)


def wilson(successes: int, n: int) -> Estimate:
    """`successes` of `n` as a proportion, with Wilson's score interval at 95 %. Raises ValueError for n < 1."""
    from scipy.stats import binomtest

    interval = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    return Estimate(successes / n, float(interval.low), float(interval.high))


def mcnemar(y_true, pred_a, pred_b) -> Difference:
    """Whether a and b differ in accuracy, by the exact test on the examples where only one is right.

    y_true, pred_a, pred_b: labels, shape (n,). The test is Q. McNemar's (Psychometrika 12, 1947) with the binomial
    distribution in place of its approximation; the interval is A. Agresti and Y. Min's adjusted one for matched pairs
    (Statistics in Medicine 24, 2005). Raises ValueError as `quality` does.
    """
    from scipy.stats import binomtest, norm

    y_true = _labels("y_true", y_true)
    pred_a, pred_b = _labels("pred_a", pred_a), _labels("pred_b", pred_b)
    _same_length(y_true, pred_a=pred_a, pred_b=pred_b)
    a, b = pred_a == y_true, pred_b == y_true
    only_a, only_b, n = int(np.sum(a & ~b)), int(np.sum(b & ~a)), len(y_true)
    p = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
    more_a, more_b, more = only_a + 0.5, only_b + 0.5, n + 2
    centre = (more_a - more_b) / more
    half = norm.ppf(0.975) * np.sqrt(more_a + more_b - (more_a - more_b) ** 2 / more) / more
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Difference((only_a - only_b) / n, float(low), float(high), float(p), only_a, only_b)


def _bootstrap(confusion: np.ndarray, seed: int) -> np.ndarray:
    """2.5 and 97.5 percentiles of macro precision, recall and F1, shape (2, 3).

    To draw the examples anew is to draw the whole confusion matrix from a multinomial. A class of which a draw
    holds no example, true or predicted, has no part in that draw's means.
    """
    rng = np.random.default_rng(seed)
    total = confusion.sum()
    drawn = rng.multinomial(total, confusion.ravel() / total, RESAMPLES).reshape(-1, *confusion.shape)
    right, predicted, true = np.diagonal(drawn, axis1=1, axis2=2), drawn.sum(1), drawn.sum(2)
    there = (predicted + true) > 0
    values = (
        right / np.maximum(predicted, 1),
        right / np.maximum(true, 1),
        2 * right / np.maximum(predicted + true, 1),
    )
    means = np.stack([(v * there).sum(1) / there.sum(1) for v in values], axis=1)
    return np.quantile(means, (0.025, 0.975), axis=0)


def _labels(name: str, values) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(f"{name} must be one-dimensional, got shape {values.shape}")
    if len(values) == 0:
        raise ValueError(f"{name} is empty")
    return values


def _same_length(y_true: np.ndarray, **others: np.ndarray) -> None:
    for name, values in others.items():
        if len(values) != len(y_true):
            raise ValueError(f"{name} has {len(values)} labels, but y_true has {len(y_true)}")
