"""Counts made by hand, of loops short enough to count."""

import numpy as np
import pytest
from numba import njit

from coursekit import measure

ZERO = np.float32(0)


def affine(x, a, out):
    for i in range(x.size):
        out[i] = max(x[i] * a + np.float32(1), ZERO)


def two_passes(x, out):
    for m in range(x.shape[0]):
        for n in range(x.shape[1]):
            out[m, n] = -x[m, n]
    for m in range(x.shape[0]):
        for n in range(x.shape[1]):
            v = np.exp(out[m, n])
            v /= 2
            out[m, n] = v


def test_a_loop_is_counted_by_the_element():
    books = measure.tally(affine, np.ones(5, np.float32), np.float32(2), np.empty(5, np.float32))
    assert (books.flops, books.reads, books.writes, books.bytes) == (15, 5, 5, 40)


def test_a_second_pass_reads_and_writes_again():
    books = measure.tally(two_passes, np.ones((2, 3)), np.empty((2, 3)))
    assert (books.flops, books.reads, books.writes) == (12, 12, 12)
    assert (books.bytes_read, books.bytes_written) == (96, 96)


def cut_then_add(x, out):
    for i in range(x.size):
        out[i] = max(x[i], ZERO) + ZERO


def test_what_follows_a_constant_is_counted_too():
    assert measure.tally(cut_then_add, np.array([-1.0, 1.0]), np.empty(2)).flops == 4


def test_compiled_functions_are_counted_as_they_were_written():
    x, out = np.ones(4, np.float32), np.zeros(4, np.float32)
    assert measure.tally(njit(affine), x, np.float32(2), out) == measure.tally(affine, x, np.float32(2), out)


def test_the_arguments_stay_as_they_were():
    out = np.zeros(4)
    measure.tally(affine, np.ones(4), 2.0, out)
    assert not out.any()


def test_the_values_are_those_of_the_function():
    seen = []

    def last(x, out):
        affine(x, np.float32(-3), out)
        seen.append([out.values[i] for i in range(2)])

    measure.tally(last, np.array([1, -1], np.float32), np.empty(2, np.float32))
    assert seen == [[0, 4]]


def test_errors_are_passed_on():
    with pytest.raises(IndexError):
        measure.tally(lambda x: x[7], np.ones(3))
