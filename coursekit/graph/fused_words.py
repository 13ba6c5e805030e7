"""The words that generated kernels are written in."""

import math
from math import inf, nan

import numpy as np
from numpy import float32, float64

from coursekit.kernels.cpu.recurrence import sigmoid
from coursekit.kernels.cpu.simd import (
    LANES,
    absolute,
    broadcast,
    load,
    load_first,
    load_one,
    maximum,
    minimum,
    select,
    sqrt,
    store,
    store_first,
    sum_across,
    width,
)
from coursekit.kernels.cpu.vector_math import MINUS_ONE, ONE, ZERO, erf, exp, normal_cdf, tanh

LANE_NUMBERS = np.arange(LANES, dtype=np.float32)

__all__ = [
    "LANE_NUMBERS", "MINUS_ONE", "ONE", "ZERO",
    "absolute", "broadcast", "erf", "exp", "float32", "float64", "inf", "load", "load_first", "load_one", "math",
    "maximum", "minimum", "nan", "normal_cdf", "select", "sigmoid", "sqrt", "store", "store_first", "sum_across",
    "tanh", "width",
]  # fmt: skip
