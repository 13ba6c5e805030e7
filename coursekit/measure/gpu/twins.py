"""What a traced kernel calls in place of instructions that only a GPU has: wide loads, dot products, tensor cores."""

import sys
from functools import partial

import numpy as np

from coursekit.measure.gpu.books import READ, WRITE


def twins(books) -> dict:
    """The stand-in for each instruction of the course's kernels, by its ``id``."""
    from coursekit.kernels.cuda import tensor_cores, vectors

    product = partial(partial, _multiply, books, tensor_cores)
    return {
        id(vectors.load4): _load4,
        id(vectors.store4): _store,
        id(vectors.store2): _store,
        id(vectors.add_fours): _add_fours,
        id(tensor_cores.multiply_halves): product(tensor_cores.halves, np.float32),
        id(tensor_cores.multiply_bfloat16s): product(tensor_cores.bfloat16s, np.float32),
        id(tensor_cores.multiply_bytes): product(tensor_cores.signed_bytes, np.int32),
    }


def _load4(x, i):
    """One access of 16 bytes."""
    x.books.note(x.number, _aligned(x, i, 4), 4 * x.dtype.itemsize, READ, sys._getframe(1))
    return tuple(x.data[i : i + 4])


def _store(x, i, *numbers):
    """One access of two or four numbers."""
    many = len(numbers)
    address = _aligned(x, i, many)
    x.data[i : i + many] = numbers
    written = x.data[i : i + many].tobytes()
    x.books.note(x.number, address, many * x.dtype.itemsize, WRITE, sys._getframe(1), written)


def _aligned(x, i, many: int) -> int:
    x.address(i + many - 1)
    if x.address(i) % (many * x.dtype.itemsize):
        name = x.books.names[x.number]
        raise IndexError(f"{many} elements from {name}[{i}]: their address is no multiple of their bytes")
    return x.address(i)


def _add_fours(a, b, total):
    a, b = (np.array([word], np.uint32).view(np.int8).astype(np.int32) for word in (a, b))
    return total + (a * b).sum(dtype=np.int32)


def _multiply(books, layout, numbers, wide, *words):
    """A product by all threads of a warp, each of which gives its fragments and takes its own four sums."""
    site = books.site(sys._getframe(1))
    fragments = books.wait(("warp", site), (words[:6], None))
    depth = layout.WORDS * layout.numbers_in_a_word(numbers)
    left, right = np.zeros((layout.ROWS, depth), wide), np.zeros((depth, layout.COLUMNS), wide)
    for lane, (*a, b0, b1) in fragments.items():
        layout.put_numbers(lane, a, (b0, b1), numbers, left, right)
    lane = books.thread.number % layout.WARP
    places = [layout.of_sum(lane, i) for i in range(4)]
    return tuple(c + left[m] @ right[:, n] for c, (m, n) in zip(words[6:], places, strict=True))
