"""Kernels that compute each number by itself, made from the function of one number.

There are two shapes of them. A flat one runs over all numbers of its arrays. One with columns sees rows, and beside
each number those that belong to its column: a bias, a scale. Both come a number at a time, as a textbook has it, and
four numbers at a time, with loads and stores of 128 bits (:mod:`coursekit.kernels.cuda.vectors`).
"""

from numba import cuda

from coursekit.kernels.cuda.device import blocks, current_device, enough_blocks, launch
from coursekit.kernels.cuda.kernel import kernel, threads
from coursekit.kernels.cuda.vectors import load4, store4

THREADS = threads(256)
FLAT = "float32[::1]"
FOURS = {"tuned": True, "expects": ("LDG.E.128", "STG.E.128")}


def declared(file: str, name: str, *arguments: str, **options):
    """The decorator of a kernel that a factory makes: with the name of the file that asked for it, and one of its own.

    Args:
        file: ``__name__`` of that file.
        name: of the kernel in it.
        arguments: their types, as Numba writes them.
        options: for :func:`coursekit.kernels.cuda.kernel.kernel`.
    """

    def decorate(function):
        function.__module__, function.__name__, function.__qualname__ = file, name, name
        return kernel(f"({', '.join(arguments)})", **options)(function)

    return decorate


def flat(*arrays) -> list:
    """The arrays in one dimension, on the same memory."""
    return [array.reshape(array.size) for array in arrays]


def last(array) -> int:
    """The length of the last dimension; the simulator's shapes know no negative index."""
    return tuple(array.shape)[-1]


def as_rows(array):
    """An array of one dimension or more as a matrix of its rows, on the same memory."""
    N = last(array)
    return array.reshape(array.size // max(N, 1), N)


def can_use_fours(*arrays) -> bool:
    """Whether all are of float32, of which 128 bits hold four."""
    return all(array.dtype == "float32" for array in arrays)


def of_numbers(file: str, name: str, function):
    """``kernel(x, out)``: one thread for each number."""

    @declared(file, f"{name}_numbers", FLAT, FLAT)
    def run(x, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = function(x[i])

    return run


def of_pairs(file: str, name: str, function):
    """``kernel(x, y, out)``: one thread for each pair of numbers."""

    @declared(file, f"{name}_numbers", FLAT, FLAT, FLAT)
    def run(x, y, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = function(x[i], y[i])

    return run


def of_fours(file: str, name: str, function):
    """``kernel(x, out)``: a thread goes from one four to the next, a grid apart; the first ones do the numbers left."""

    @declared(file, f"{name}_fours", FLAT, FLAT, **FOURS)
    def run(x, out):
        first, step, whole = cuda.grid(1), cuda.gridsize(1), out.size // 4 * 4
        for i in range(4 * first, whole, 4 * step):
            a, b, c, d = load4(x, i)
            store4(out, i, function(a), function(b), function(c), function(d))
        if whole + first < out.size:
            out[whole + first] = function(x[whole + first])

    return run


def of_pairs_of_fours(file: str, name: str, function):
    """``kernel(x, y, out)``, as :func:`of_fours`."""

    @declared(file, f"{name}_fours", FLAT, FLAT, FLAT, **FOURS)
    def run(x, y, out):
        first, step, whole = cuda.grid(1), cuda.gridsize(1), out.size // 4 * 4
        for i in range(4 * first, whole, 4 * step):
            a, b, c, d = load4(x, i)
            p, q, r, s = load4(y, i)
            store4(out, i, function(a, p), function(b, q), function(c, r), function(d, s))
        if whole + first < out.size:
            out[whole + first] = function(x[whole + first], y[whole + first])

    return run


def run_numbers(kernel, *arrays, out, scalars=()) -> None:
    """Launch a kernel with a thread for each number of ``out``; its arguments are the arrays, the scalars, and out."""
    if out.size:
        launch(kernel, blocks(out.size, THREADS), THREADS, *flat(*arrays), *scalars, *flat(out))


def run_fours(kernel, *arrays, out) -> None:
    """Launch a kernel whose threads go on from four to four until all is done."""
    if out.size:
        launch(kernel, enough_blocks(blocks(out.size, 4), THREADS), THREADS, *flat(*arrays, out))


def of_columns(file: str, name: str, function):
    """``kernel(x, column, out)``: ``function(number, number of its column)``, one thread for each number."""

    @declared(file, f"{name}_numbers", FLAT, FLAT, FLAT)
    def run(x, column, out):
        i = cuda.grid(1)
        if i < out.size:
            out[i] = function(x[i], column[i % column.size])

    return run


def of_columns_of_fours(file: str, name: str, function):
    """``kernel(x, column, out)`` for rows whose length is a multiple of four, launched by :func:`run_columns`.

    A thread keeps to four columns and goes down the rows. So their numbers are loaded once and stay in registers, and
    no remainder of a division is needed to find them.
    """

    @declared(file, f"{name}_fours", FLAT, FLAT, FLAT, **FOURS)
    def run(x, column, out):
        N = column.size
        n, m = cuda.grid(2)
        if 4 * n < N:
            p, q, r, s = load4(column, 4 * n)
            for i in range(m * N + 4 * n, out.size, cuda.gridDim.y * cuda.blockDim.y * N):
                a, b, c, d = load4(x, i)
                store4(out, i, function(a, p), function(b, q), function(c, r), function(d, s))

    return run


def grid_of_fours(rows: int, N: int) -> tuple:
    """Blocks and threads for rows of N numbers: x runs over fours of columns, y over rows, as many as the GPU holds."""
    fours = N // 4
    across = min(THREADS, 1 << (fours - 1).bit_length())
    wide = blocks(fours, across)
    tall = min(blocks(rows, THREADS // across), 8 * current_device().multiprocessors // wide)
    return (wide, max(1, tall)), (across, THREADS // across)


def run_columns(kernel, x, *others, out) -> None:
    """Launch a kernel of rows in fours."""
    if out.size:
        N = last(x)
        launch(kernel, *grid_of_fours(x.size // N, N), *flat(x), *others, *flat(out))


def can_use_columns_of_fours(x, *others) -> bool:
    """Whether a kernel of rows in fours can do these."""
    return last(x) % 4 == 0 and can_use_fours(x, *others)


def run_biased(fours, numbers, x, bias, out) -> None:
    """Launch the kernel in fours where it can do that, and the one with a thread for each number elsewhere."""
    if out.size and can_use_columns_of_fours(x, bias, out):
        run_columns(fours, x, bias, out=out)
    else:
        run_numbers(numbers, x, bias, out=out)
