"""What decides a mark: values survive the journey, and differences are found and named."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coursekit.grading.compare import DTYPES, BadValue, Raised, decode, difference
from coursekit.grading.judge import encode


def journey(value):
    """Out of the kernel as JSON text, and back."""
    return decode(json.loads(json.dumps(encode(value), allow_nan=False)))


def differ(got, want, rtol=1e-6, atol=1e-9):
    return difference(journey(got), journey(want), rtol=rtol, atol=atol)


numbers = hnp.arrays(
    st.sampled_from(sorted(DTYPES)).map(np.dtype),
    hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
)


@given(numbers)
def test_arrays_survive_the_journey_bit_for_bit(array):
    got = journey(array)
    if array.dtype == bool and array.ndim == 0:
        assert got == bool(array)
    else:
        assert got.dtype == array.dtype and got.shape == array.shape
        assert got.tobytes() == array.tobytes()


@given(
    st.recursive(
        st.none() | st.booleans() | st.text(max_size=5) | st.integers() | st.floats(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_value_equals_itself(value):
    assert differ(value, value) is None


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e3, 1e3)), st.data())
def test_one_changed_element_is_found_where_it_is(array, data):
    index = data.draw(st.integers(0, len(array) - 1))
    changed = array.copy()
    changed[index] += 1
    assert differ(changed, array).startswith(f"at [{index}]")


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (1, 1.0),
        (np.float32(1), 1),
        ([1, 2], np.array([1.0, 2.0])),
        (np.array([[1, 2]]), [[1, 2]]),
        (torch.tensor([1.0, 2.0], requires_grad=True), [1, 2]),
        ((1, 2), [1, 2]),
        (float("nan"), float("nan")),
        (float("inf"), float("inf")),
        (1 + 1e-7, 1.0),
        ([], np.zeros(0)),
        (2**100, 2**100),
        ({1, 2}, {2, 1}),
        ({"a": [1]}, {"a": np.array([1])}),
    ],
)
def test_equal_values_are_equal_whatever_carries_them(got, want):
    assert differ(got, want) is None


@pytest.mark.parametrize(
    ("got", "want", "words"),
    [
        (1.01, 1, "got 1.01, wanted 1"),
        (None, 1, "got None, wanted 1"),
        (True, 1, "got True, wanted 1"),
        (1, True, "got 1, wanted True"),
        ("1", 1, "got '1', wanted 1"),
        ([1, 2, 4], [1, 2, 3], "at [2]: got 4, wanted 3"),
        ([[1, 2], [3, 5]], [[1, 2], [3, 4]], "at [1][1]: got 5, wanted 4"),
        ([1, 2], [1, 2, 3], "got 2 items, wanted 3"),
        ([1, "a"], [1, "b"], "at [1]: got 'a', wanted 'b'"),
        (np.zeros((2, 1)), np.zeros((1, 2)), "got shape (2, 1), wanted (1, 2)"),
        (np.zeros(1), 0, "got shape (1,), wanted ()"),
        ({"a": 1}, {"b": 1}, "got the keys 'a'; wanted 'b'"),
        ({"a": {"b": 2}}, {"a": {"b": 1}}, "at ['a']['b']: got 2, wanted 1"),
        (float("nan"), 1, "got nan, wanted 1"),
        (object(), object(), "got an object of type object, wanted an object of type object"),
        (2**100 + 1, 2**100, "got"),
        ([], [1], "got"),
        (np.array([]), [], None),
        (np.array(True), 1, "got truth values, wanted whole numbers"),
        (1 + 0j, 1, "got complex numbers, wanted whole numbers"),
        ({1}, [1], "got"),
        ({1: 2}, {"1": 2}, "got the keys"),
        (10**6 + 1, 10**6, "got 1000001, wanted 1000000"),
        (1e6 + 0.5, 10**6, "got 1000000.5, wanted 1000000"),
    ],
)
def test_differences_are_named(got, want, words):
    found = differ(got, want)
    assert found is None if words is None else words in found


def test_exceptions_compare_by_type():
    assert difference(Raised("ValueError"), Raised("ValueError"), rtol=0, atol=0) is None
    assert "raised TypeError, wanted ValueError" in difference(
        Raised("TypeError"), Raised("ValueError"), rtol=0, atol=0
    )
    assert "wanted a ValueError to be raised" in difference(1.0, Raised("ValueError"), rtol=0, atol=0)
    assert difference("ValueError", Raised("ValueError"), rtol=0, atol=0)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_rubbish_is_refused_and_nothing_else_happens(data):
    with pytest.raises(BadValue):
        decode(data)


@pytest.mark.parametrize(
    "data",
    [
        {"kind": "array", "dtype": "object", "shape": [1], "data": "AAAAAAAAAAA="},
        {"kind": "array", "dtype": "float64", "shape": [2], "data": "AAAAAAAAAAA="},
        {"kind": "array", "dtype": "float64", "shape": [-1], "data": "AAAAAAAAAAA="},
        {"kind": "array", "dtype": "float64", "shape": [True], "data": "AAAAAAAAAAA="},
        {"kind": "array", "dtype": "float64", "shape": [10**12, 10**12], "data": ""},
        {"kind": "array", "dtype": "float64", "shape": [1], "data": "not base64"},
        {"kind": "array", "dtype": "float64", "shape": [0, *[2**30] * 3], "data": ""},
        {"kind": "dict", "items": [[{"kind": "none"}]]},
        {"kind": "integer", "value": "x"},
        {"kind": "pickle", "value": "gASVAAAA"},
        {"kind": "list"},
    ],
)
def test_forged_values_are_refused(data):
    with pytest.raises(BadValue):
        decode(data)


def test_too_deep_is_refused():
    data = {"kind": "none"}
    for _ in range(50):
        data = {"kind": "list", "items": [data]}
    with pytest.raises(BadValue):
        decode(data)


def test_what_is_too_large_to_emit_says_so():
    with pytest.raises(ValueError, match="1000000 elements"):
        encode(np.zeros(1_000_000))
    deep = []
    deep.append(deep)
    with pytest.raises(ValueError, match="nested"):
        encode(deep)


def test_an_enormous_number_is_told_by_its_length():
    assert "a whole number of about 5000 digits" in differ(10**5000, 1)
