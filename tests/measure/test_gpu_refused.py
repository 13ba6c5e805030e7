"""What a kernel must not do, and what threads must not share: a trace counts nothing that no GPU would run."""

import math

import numpy as np
import pytest
from numba import cuda, float32, int32

from coursekit.measure import trace


@cuda.jit
def parted(out):
    if cuda.threadIdx.x < 3:
        cuda.syncthreads()
    else:
        cuda.syncthreads()


@cuda.jit
def overflowing(out):
    out[cuda.grid(1)] = 1


@cuda.jit
def exotic(out):
    out[0] = cuda.ballot_sync(0, True)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: trace(overflowing, 1, 5, x), IndexError, r"out\[4\] is outside of its shape \(4,\)"),
        (lambda x: trace(parted, 1, 4, x), RuntimeError, "wait for each other in different places, lines"),
        (lambda x: trace(exotic, 1, 1, x), NotImplementedError, r"cuda\.ballot_sync is not known"),
        (lambda x: trace(overflowing, 1, 4), TypeError, r"takes 1 arguments \(out\); got 0"),
        (
            lambda x: trace(overflowing, 1, 4, [1]),
            TypeError,
            "out must be a NumPy array or a number; got list",
        ),
        (lambda x: trace(overflowing, 0, 4, x), ValueError, "grid and threads must be positive"),
        (lambda x: trace(overflowing, 1, 1025, x), ValueError, "at most 1024 threads; got 1025"),
        (lambda x: trace(overflowing, 1, 4, x, most=3), RuntimeError, "more than 3 accesses"),
        (lambda x: trace(overflowing, 1, 4, x).requests("y"), ValueError, "one of out; got 'y'"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=message):
        call(np.zeros(4))


def test_an_error_names_the_thread():
    with pytest.raises(IndexError) as caught:
        trace(overflowing, 3, 2, np.zeros(4))
    assert caught.value.__notes__ == ["in thread (0, 0, 0) of block (2, 0, 0)"]


STASH, PAIRS, TABLE, SCALE = [], ([], 1), np.arange(4, dtype=np.float32), 2
PUT = STASH.append


class Place:
    x = STASH


def helper(v, stash=[]):  # noqa: B006
    stash.append(v)


@cuda.jit(device=True)
def remembers(v, stash=[]):  # noqa: B006
    return stash


def into_a_list(x):
    STASH[0] = x[0]


def into_a_tuple_of_lists(x):
    PAIRS[0][0] = x[0]


def through_a_method(x):
    PUT(x[0])


def into_a_class(x):
    Place.x[0] = x[0]


def through_a_function(x):
    helper(x[0])


def through_a_default(x):
    remembers(x[0])


def into_a_global(x):
    global SCALE
    SCALE = x[0]


def onto_a_type(x):
    place = float32
    place.x = x[0]


def within_another():
    kept = 0

    def kernel(x):
        nonlocal kept
        kept = x[0]

    return kernel


@pytest.mark.parametrize(
    "kernel",
    [
        into_a_list,
        into_a_tuple_of_lists,
        through_a_method,
        into_a_class,
        through_a_function,
        through_a_default,
        into_a_global,
        onto_a_type,
        within_another(),
    ],
)
def test_threads_share_nothing_that_is_not_counted(kernel):
    with pytest.raises(TypeError, match=r"from outside of it|not its own"):
        trace(kernel, 1, 2, np.ones(2, np.float32))
    assert STASH == [] and PAIRS == ([], 1) and SCALE == 2


def with_constants(out):
    i = cuda.grid(1)
    out[i] = min(TABLE[i], float32(SCALE)) + math.sqrt(PAIR_OF_NUMBERS[1])


def into_a_table(out):
    TABLE[0] = 7


PAIR_OF_NUMBERS = (1, 4)


def test_constants_from_outside_are_constants():
    assert trace(with_constants, 1, 4, np.zeros(4, np.float32)).arrays["out"].tolist() == [2, 3, 4, 4]
    with pytest.raises(ValueError, match="read-only"):
        trace(into_a_table, 1, 4, np.zeros(4, np.float32))


def test_more_shared_memory_than_a_block_has():
    def hoards(x):
        whole = cuda.shared.array(12289, "float32")
        whole[0] = x[0]

    with pytest.raises(ValueError, match=r"a block has 49,152 bytes of shared memory; got 49,168"):
        trace(hoards, 1, 1, np.ones(1, np.float32))


def sin(x):
    """Beside the kernel, and of the name of what it calls in another module."""


def test_a_function_beside_the_kernel_is_not_in_it():
    def takes(x):
        x[0] = math.sin(x[0])

    assert trace(takes, 1, 1, np.zeros(1)).arrays["x"][0] == 0


def test_what_is_noted_is_what_is_accessed():
    """An index is one number for each dimension; NumPy would take others for many elements, or for a copy of them."""

    def odd(x, out):
        out[0, 0] = x[0, 0, ...]

    def listed(x, out):
        out[0, 0] = x[[1, 1], :][0, 0]

    def true(x, out):
        out[True, np.int8(1)] = x[True, True]

    x = np.arange(4.0).reshape(2, 2)
    for kernel in (odd, listed):
        with pytest.raises((TypeError, IndexError)):
            trace(kernel, 1, 1, x, np.zeros_like(x))
    assert trace(true, 1, 1, x, np.zeros_like(x)).arrays["out"].tolist() == [[0, 0], [0, 3]]
    with pytest.raises(IndexError, match=r"x\[1\]: its shape is \(2, 2\)"):
        trace(lambda x: cuda.atomic.add(x, 1, 1), 1, 1, x)


def test_local_memory_holds_nothing_at_first():
    def reads(out):
        out[0] = cuda.local.array(4, float32)[2]

    assert math.isnan(trace(reads, 1, 1, np.zeros(1, np.float32)).arrays["out"][0])


def with_a_class(x):
    class A:
        y = STASH

    A.y.append(x[0])


def with_a_try(x):
    try:
        x[99] = 1
    except IndexError:
        x[0] = 1


def with_an_import(x):
    import random

    x[0] = random.random()


@pytest.mark.parametrize("kernel", [with_a_class, with_a_try, with_an_import])
def test_what_no_gpu_runs_is_refused(kernel):
    with pytest.raises(TypeError, match="no GPU runs that"):
        trace(kernel, 1, 1, np.zeros(2))


def test_only_numbers_are_stored_and_passed_on():
    def stores(x):
        cuda.shared.array(1, "O")[0] = [x[0]]

    def passes(x):
        cuda.shfl_sync(0xFFFFFFFF, [x[0]], 0)

    with pytest.raises(TypeError, match="arrays within a kernel hold numbers; got object"):
        trace(stores, 1, 1, np.zeros(1))
    with pytest.raises(TypeError, match="a shuffle passes numbers on; got list"):
        trace(passes, 1, 1, np.zeros(1))


def test_a_shuffle_has_64_bits():
    def passes(x):
        cuda.shfl_sync(0xFFFFFFFF, 1 << 64, 0)

    with pytest.raises(OverflowError, match="at most 64 bits"):
        trace(passes, 1, 1, np.zeros(1))


class Held(float):
    x = STASH


class Posing:
    __module__ = "numba.cuda"
    py_func = staticmethod(lambda x: None)


HELD, INT_ARRAY = Held(1), int32[:]


@pytest.mark.parametrize("kernel", [lambda x: HELD.x[0], lambda x: INT_ARRAY.x])
def test_a_constant_is_of_a_class_that_holds_nothing(kernel):
    with pytest.raises(TypeError, match="from outside of it"):
        trace(kernel, 1, 1, np.zeros(1))


def test_a_kernel_is_a_function_or_of_numba_itself():
    with pytest.raises(TypeError, match=r"must be a function, under @cuda.jit or not; got Posing"):
        trace(Posing(), 1, 1, np.zeros(1))


@pytest.mark.parametrize(
    "kernel", [lambda x: np.sum(x), lambda x: np.exp(x[1:]), lambda x: np.asarray(x), lambda x: np.dot(x, x)]
)
def test_functions_of_whole_arrays_are_refused_by_name(kernel):
    with pytest.raises(TypeError, match=r"numpy\.\w+ takes a whole array, here x; .* one by one"):
        trace(kernel, 1, 1, np.ones(4))


@cuda.jit(device=True)
def number_of(x):
    return x[0]


@pytest.mark.parametrize(
    ("kernel", "named"),
    [
        (lambda x: tuple(map(number_of, [x])), "uses map"),
        (lambda x: filter(number_of, [x]), "uses filter"),
        (lambda x: sorted([1], key=lambda i: x[i]), "uses sorted"),
        (lambda x: next(iter(x)), "uses iter"),
        (lambda x: max(x[i] for i in range(1)), "has a generator"),
        (lambda x: max([0, 0], key=lambda i: x[i]), "unexpected keyword argument 'key'"),
    ],
)
def test_no_function_is_called_in_turns_that_nobody_sees(kernel, named):
    with pytest.raises(TypeError, match=named):
        trace(kernel, 1, 1, np.ones(1))


def test_the_smallest_and_the_largest_number():
    def clamped(x):
        x[0] = max(min(x[0], 3), 2, 1)

    assert trace(clamped, 1, 1, np.full(1, 5.0)).arrays["x"] == [3]
