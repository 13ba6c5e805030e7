import numpy as np
import pytest
import torch
from scipy.stats import binom
from sklearn.metrics import f1_score, precision_score, recall_score

from coursekit.measure import mcnemar, quality
from coursekit.measure.scores import wilson

RNG = np.random.default_rng(0)
TRUE = RNG.integers(0, 4, 400)
PREDICTED = np.where(RNG.random(400) < 0.85, TRUE, (TRUE + RNG.integers(1, 4, 400)) % 4)


def test_values_are_those_of_scikit_learn():
    found = quality(TRUE, PREDICTED)
    assert found.accuracy.value == np.mean(TRUE == PREDICTED)
    assert found.precision.value == pytest.approx(precision_score(TRUE, PREDICTED, average="macro"))
    assert found.recall.value == pytest.approx(recall_score(TRUE, PREDICTED, average="macro"))
    assert found.f1.value == pytest.approx(f1_score(TRUE, PREDICTED, average="macro"))
    assert found.per_class[2]["recall"] == pytest.approx(np.mean(PREDICTED[TRUE == 2] == 2))
    assert found.confusion[1, 3] == np.sum((TRUE == 1) & (PREDICTED == 3))
    assert found.n == 400


def test_wilson_against_the_formula_written_out():
    # Wilson (1927): (p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n), z = 1.959964
    n, p, z = 250, 0.94, 1.959963985
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    found = wilson(235, 250)
    assert (found.low, found.high) == pytest.approx((centre - half, centre + half))
    assert wilson(10, 10).high == pytest.approx(1)
    assert wilson(10, 10).low < 0.75


def test_the_intervals_hold_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(1)
    held = {"accuracy": 0, "recall": 0, "f1": 0}
    for trial in range(200):
        y = np.repeat([0, 1, 2], 80)
        wrong = rng.random(240) < 0.15
        found = quality(y, np.where(wrong, (y + rng.integers(1, 3, 240)) % 3, y), seed=trial)
        for name in held:
            estimate = getattr(found, name)
            held[name] += estimate.low <= 0.85 <= estimate.high
    assert all(180 <= count <= 199 for count in held.values()), held


def test_the_bootstrap_is_seeded():
    assert quality(TRUE, PREDICTED, seed=3).f1 == quality(TRUE, PREDICTED, seed=3).f1
    assert quality(TRUE, PREDICTED, seed=3).f1 != quality(TRUE, PREDICTED, seed=4).f1


def test_perfect_and_one_sided_predictions():
    perfect = quality(["a", "b", "a"], ["a", "b", "a"])
    assert perfect.accuracy.value == perfect.f1.value == 1
    one_sided = quality([0, 0, 1, 1], [0, 0, 0, 0])
    assert one_sided.per_class[1]["precision"] == 0
    assert one_sided.recall.value == 0.5
    assert quality([0, 0], [0, 5]).labels == (0, 5)


def test_tensors_are_labels_too():
    assert quality(torch.tensor(TRUE), torch.tensor(PREDICTED)).confusion.tolist() == (
        quality(TRUE, PREDICTED).confusion.tolist()
    )


def test_estimates_print_in_percent():
    assert str(wilson(948, 1000)) == "94.8 % (93.2–96.0)"
    text = str(quality(TRUE, PREDICTED))
    assert "macro mean" in text
    assert "examples" in quality(TRUE, PREDICTED)._repr_html_()


def test_mcnemar_is_the_exact_binomial():
    y = np.zeros(100, int)
    a, b = y.copy(), y.copy()
    a[:2] = 1
    b[2:14] = 1
    found = mcnemar(y, a, b)
    assert (found.only_a, found.only_b) == (12, 2)
    assert found.p == pytest.approx(2 * binom.cdf(2, 14, 0.5))
    assert found.value == pytest.approx(0.10)
    assert found.low < 0.10 < found.high
    assert found.different
    assert str(found).startswith("a is better")
    assert str(mcnemar(y, b, a)).startswith("b is better")


def test_equal_predictions_are_not_different():
    found = mcnemar(TRUE, PREDICTED, PREDICTED)
    assert found.p == 1
    assert found.low < 0 < found.high
    assert str(found).startswith("not different at 95 %")


def test_mcnemar_finds_a_difference_that_is_not_there_at_most_5_times_in_100():
    rng = np.random.default_rng(0)
    y = np.zeros(300, int)
    verdicts = []
    for _ in range(400):
        a, b = (rng.random((2, 300)) < 0.08).astype(int)
        verdicts.append(mcnemar(y, a, b).different)
    assert np.mean(verdicts) <= 0.06


@pytest.mark.parametrize(
    "y_true, y_pred, message",
    [
        ([], [], "y_true is empty"),
        ([0, 1], [0], "y_pred has 1 labels, but y_true has 2"),
        ([[0, 1]], [0, 1], r"y_true must be one-dimensional, got shape \(1, 2\)"),
        ([0, 1], [[0.1, 0.9], [0.2, 0.8]], "y_pred must be one-dimensional"),
    ],
)
def test_wrong_labels_are_refused_by_name(y_true, y_pred, message):
    with pytest.raises(ValueError, match=message):
        quality(y_true, y_pred)
    with pytest.raises(ValueError, match=message.replace("y_pred", "pred_b")):
        mcnemar(y_true, y_true if len(y_true) else [], y_pred)
