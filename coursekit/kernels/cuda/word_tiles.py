"""Products of matrices on tensor cores, whatever a word of 32 bits along k holds: two numbers or four.

A block computes a tile of the result, its warps a part of the tile each, and a warp its part in products of 16 x 8. The
tensor cores take a and b from shared memory, a word at a time. Between the rows there are words of padding: rows of a
are 20 words apart, those of b 136, so that the 32 words which a warp reads at once lie in 32 banks.
"""

from dataclasses import dataclass

from numba import cuda, uint32

from coursekit.kernels.cuda.device import blocks, launch
from coursekit.kernels.cuda.kernel import SIMULATED, kernel
from coursekit.kernels.cuda.tensor_cores import (
    COLUMNS,
    ROWS,
    WARP,
    WORDS,
    left_place,
    right_place,
    sum_place,
)
from coursekit.kernels.cuda.vectors import load4, store2, store4


@dataclass(frozen=True)
class Tile:
    """The warps of a block, down and across; the products of each, down and across; and words along k in a slice."""

    warps: tuple[int, int]
    products: tuple[int, int]
    depth: int

    @property
    def rows(self) -> int:
        return self.warps[0] * self.products[0] * ROWS

    @property
    def columns(self) -> int:
        return self.warps[1] * self.products[1] * COLUMNS

    @property
    def threads(self) -> int:
        return self.warps[0] * self.warps[1] * WARP

    @property
    def stride_a(self) -> int:
        """Words from row to row of a in shared memory, padding among them; ``stride_b`` alike."""
        return self.depth + 4

    @property
    def stride_b(self) -> int:
        return self.columns + 8

    @property
    def size_a(self) -> int:
        """Words of a slice of a in shared memory; ``size_b`` alike."""
        return self.rows * self.stride_a

    @property
    def size_b(self) -> int:
        return self.depth * self.stride_b


LARGE = Tile((2, 4), (4, 4), 16)
"""128 x 128 numbers by 256 threads: 64 x 32 for each warp."""
SMALL = Tile((2, 1), (1, 2), 8)
"""32 x 16 numbers by 64 threads, for the simulator."""


def word_tiles(name, tile, multiply, total, unit, fetch_right, keep_right, expects):
    """A kernel ``(a, b, M, N, depth, out)`` on flat arrays: words, words, and sums; rows of a have ``depth`` words.

    Args:
        name: of the kernel.
        tile: its sizes.
        multiply: one of those in :mod:`coursekit.kernels.cuda.tensor_cores`.
        total: Numba's type of the sums.
        unit: how many columns of b a thread loads at once, as so many words.
        fetch_right: ``fetch_right(b, k, n, depth, N, words, at)`` reads those of ``unit`` columns from n on, at word k.
        keep_right: ``keep_right(words, at, tile, to)`` writes them to shared memory, each column's word by itself.
        expects: starts of instructions, beside those of loads and stores.
    """
    fetch, room_a, room_b = _fetching(tile, unit, fetch_right)
    keep = _keeping(tile, unit, keep_right)
    add_products = _multiplying(tile, multiply)
    keep_sums = _storing(tile)
    rows, columns, depth_of_slice = tile.rows, tile.columns, tile.depth
    across, (down, beside) = tile.warps[1], tile.products
    both_a, both_b, results = 2 * tile.size_a, 2 * tile.size_b, 4 * down * beside

    def word_tiles(a, b, M, N, depth, out):
        tile_a = cuda.shared.array(both_a, dtype=uint32)
        tile_b = cuda.shared.array(both_b, dtype=uint32)
        sums = cuda.local.array(results, dtype=total)
        words_a = cuda.local.array(room_a, dtype=uint32)
        words_b = cuda.local.array(room_b, dtype=uint32)
        m, n = rows * cuda.blockIdx.y, columns * cuda.blockIdx.x
        # Never negative: spared the care that // and % take of signs, a thread needs few enough registers for two
        # blocks on a multiprocessor, which has 65536.
        t = uint32(cuda.threadIdx.x)
        warp, lane = t // WARP, t % WARP
        left, right = warp // across * down * ROWS, warp % across * beside * COLUMNS
        for i in range(results):
            sums[i] = total(0)
        fetch(t, a, b, m, n, 0, M, N, depth, words_a, words_b)
        keep(t, words_a, words_b, tile_a, tile_b, 0)
        cuda.syncthreads()
        k = 0
        while k < depth:
            half = k // depth_of_slice % 2
            k += depth_of_slice
            fetch(t, a, b, m, n, k, M, N, depth, words_a, words_b)
            add_products(tile_a, tile_b, half, lane, left, right, sums)
            keep(t, words_a, words_b, tile_a, tile_b, 1 - half)
            cuda.syncthreads()
        keep_sums(sums, lane, m + left, n + right, M, N, out)

    word_tiles.__name__ = f"{name}_{rows}x{columns}"
    signature = f"(uint32[::1], uint32[::1], int64, int64, int64, {total}[::1])"
    expects = ("LDG.E.128", "STS.128", "STG.E.64", *expects)
    return kernel(signature, tuned=tile is LARGE, expects=expects)(word_tiles)


def _fetching(tile, unit, fetch_right):
    """A function that reads a slice into registers, and how many words of a and of b a thread holds of it."""
    threads, rows, columns, slice_words = tile.threads, tile.rows, tile.columns, tile.depth
    turns_a = blocks(rows * slice_words // 4, threads)
    turns_b = blocks(slice_words * columns // unit, threads)

    @cuda.jit(device=True)
    def fetch(t, a, b, m, n, k, M, N, depth, words_a, words_b):
        """A slice, from global memory to registers, and zeros from beyond its end.

        Beyond the last row or column it reads the last ones once more: results of those are not stored.
        """
        for i in range(turns_a):
            q = t + i * threads
            row, word = min(m + q // (slice_words // 4), M - 1), k + 4 * (q % (slice_words // 4))
            w = x = y = z = uint32(0)
            if word < depth:
                w, x, y, z = load4(a, row * depth + word)
            words_a[4 * i], words_a[4 * i + 1], words_a[4 * i + 2], words_a[4 * i + 3] = w, x, y, z
        for i in range(turns_b):
            q = t + i * threads
            word, column = q // (columns // unit), q % (columns // unit)
            fetch_right(b, k + word, min(n + unit * column, N - unit), depth, N, words_b, unit * i)

    return fetch, 4 * turns_a, unit * turns_b


def _keeping(tile, unit, keep_right):
    """A function that writes the registers of a slice to one half of shared memory."""
    threads, columns, slice_words = tile.threads, tile.columns, tile.depth
    stride_a, stride_b, size_a, size_b = tile.stride_a, tile.stride_b, tile.size_a, tile.size_b
    quads, units = tile.rows * slice_words // 4, slice_words * columns // unit
    turns_a, turns_b = blocks(quads, threads), blocks(units, threads)

    @cuda.jit(device=True)
    def keep(t, words_a, words_b, tile_a, tile_b, half):
        for i in range(turns_a):
            q = t + i * threads
            if q < quads:
                row, word = divmod(q, slice_words // 4)
                to = half * size_a + row * stride_a + 4 * word
                w, x, y, z = words_a[4 * i], words_a[4 * i + 1], words_a[4 * i + 2], words_a[4 * i + 3]
                store4(tile_a, to, w, x, y, z)
        for i in range(turns_b):
            q = t + i * threads
            if q < units:
                word, column = divmod(q, columns // unit)
                keep_right(words_b, unit * i, tile_b, half * size_b + word * stride_b + unit * column)

    return keep


def _multiplying(tile, multiply):
    """A function that adds all products of a warp in a slice to its sums."""
    stride_a, stride_b, size_a, size_b = tile.stride_a, tile.stride_b, tile.size_a, tile.size_b
    slice_words, (down, beside) = tile.depth, tile.products
    right_words = 2 * beside

    @cuda.jit(device=True)
    def left_word(tile_a, corner, lane, i):
        row, word = left_place(lane, i)
        return tile_a[corner + row * stride_a + word]

    @cuda.jit(device=True)
    def add_products(tile_a, tile_b, half, lane, left, right, sums):
        """``left`` and ``right`` are the corners of the warp's part, in rows and in columns."""
        words = cuda.local.array(right_words, dtype=uint32)
        for k in range(0, slice_words, WORDS):
            for j in range(beside):
                for i in range(2):
                    word, column = right_place(lane, i)
                    at = half * size_b + (k + word) * stride_b + right + COLUMNS * j + column
                    words[2 * j + i] = tile_b[at]
            for i in range(down):
                corner = half * size_a + (left + ROWS * i) * stride_a + k
                a0, a1 = left_word(tile_a, corner, lane, 0), left_word(tile_a, corner, lane, 1)
                a2, a3 = left_word(tile_a, corner, lane, 2), left_word(tile_a, corner, lane, 3)
                for j in range(beside):
                    s = 4 * (beside * i + j)
                    c0, c1, c2, c3 = sums[s], sums[s + 1], sums[s + 2], sums[s + 3]
                    b0, b1 = words[2 * j], words[2 * j + 1]
                    c0, c1, c2, c3 = multiply(a0, a1, a2, a3, b0, b1, c0, c1, c2, c3)
                    sums[s], sums[s + 1], sums[s + 2], sums[s + 3] = c0, c1, c2, c3

    return add_products


def _storing(tile):
    """A function that writes a warp's sums to global memory."""
    down, beside = tile.products

    @cuda.jit(device=True)
    def keep_sums(sums, lane, m, n, M, N, out):
        """m and n are the row and the column of the warp's corner."""
        for i in range(down):
            for j in range(beside):
                for pair in range(0, 4, 2):
                    row, column = sum_place(lane, pair)
                    row, column = m + ROWS * i + row, n + COLUMNS * j + column
                    s = 4 * (beside * i + j) + pair
                    if row < M and column < N:
                        store2(out, row * N + column, sums[s], sums[s + 1])

    return keep_sums


def launch_word_tiles(kernels, a, b, depth, N, out) -> None:
    """Queue the large kernel of a pair, or the small one in the simulator; a and b are arrays of words."""
    tile, chosen = (SMALL, kernels[1]) if SIMULATED else (LARGE, kernels[0])
    grid = blocks(N, tile.columns), blocks(out.size // N, tile.rows)
    launch(chosen, grid, tile.threads, a, b, out.size // N, N, depth, out.reshape(out.size))


def words(array):
    """A contiguous device array as flat words, on the same memory."""
    return array.reshape(array.size).view("uint32")
