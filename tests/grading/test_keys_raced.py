"""Answers of exercise 09 that are right, and leave out rows where they are timed. Each earned points once."""

import pytest

from .real_keys import raced

EVERY_64TH = {
    "bias_hard_swish": """
        def bias_hard_swish(x, bias, out):
            step = 64 if len(x) > 999 else 1
            v = x[::step] + bias
            out[::step] = v * np.clip(v + np.float32(3), 0, 6) / np.float32(6)
            return out
        """,
    "add_layer_norm": """
        def add_layer_norm(x, residual, weight, bias, eps, out):
            step = 64 if len(x) > 999 else 1
            out[0, ::step] = s = (x[::step] + residual[::step]).astype(float)
            away = s - s.mean(1, keepdims=True)
            out[1, ::step] = away / np.sqrt((away * away).mean(1, keepdims=True) + eps) * weight + bias
            return out
        """,
}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("task", "source"), EVERY_64TH.items())
def test_a_race_compares_rows_that_nobody_could_know(task, source):
    _, speed = raced(task, source)
    assert speed.points == 0 and "in the race, on other inputs, it is not right" in speed.message
