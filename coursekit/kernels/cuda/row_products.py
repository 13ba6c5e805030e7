"""Products of rows with rows, out of shared memory into registers: a·bᵀ, a tile of it for each thread."""

from numba import cuda, float32

from coursekit.kernels.cuda.vectors import load4, store4

PAD = 4
"""Rows in shared memory are so many numbers longer than they need to be: eight rows beside each other then start in
eight different places of its 32 banks, four banks each, and are read together in loads of 128 bits without waiting."""


def add_row_products(high, wide):
    """A device function ``add(a, i, step_a, b, j, step_b, depth, left, total)``.

    ``total[m, n]`` grows by the product of row m of ``a`` and row n of ``b``, for m < high and n < wide. Rows start at
    ``i + m * step_a`` and ``j + n * step_b``, and have ``depth`` numbers, a multiple of four. ``left`` is room for
    (high, 4) numbers. Both are read four numbers at a time, as they lie: ``high + wide`` loads of 128 bits serve
    ``4 * high * wide`` multiply-adds, and nothing has to be transposed on its way into shared memory.
    """

    @cuda.jit(device=True)
    def add(a, i, step_a, b, j, step_b, depth, left, total):
        for k in range(0, depth, 4):
            for m in range(high):
                left[m, 0], left[m, 1], left[m, 2], left[m, 3] = load4(a, i + m * step_a + k)
            for n in range(wide):
                w, x, y, z = load4(b, j + n * step_b + k)
                for m in range(high):
                    total[m, n] += left[m, 0] * w
                    total[m, n] += left[m, 1] * x
                    total[m, n] += left[m, 2] * y
                    total[m, n] += left[m, 3] * z

    return add


def rows_copier(rows, depth, threads):
    """A device function ``copy(source, start, step, count, some, tile, t)``, for all threads of a block.

    It brings a tile of (rows, depth) numbers to shared memory, in rows of ``depth + PAD``. They come from ``start`` and
    every ``step`` further, a row at each; beyond ``count`` rows and ``some`` numbers of a row the tile holds zeros.
    Where rows start at multiples of four, a thread reads 128 bits at a time.
    """

    @cuda.jit(device=True)
    def copy(source, start, step, count, some, tile, t):
        aligned = start % 4 == 0 and step % 4 == 0
        for i in range(4 * t, rows * depth, 4 * threads):
            row, c = divmod(i, depth)
            w = x = y = z = float32(0)
            at, left = start + row * step + c, some - c
            if row < count and left > 0:
                if aligned and left > 3:
                    w, x, y, z = load4(source, at)
                else:
                    w = source[at]
                    x = source[at + 1] if left > 1 else float32(0)
                    y = source[at + 2] if left > 2 else float32(0)
                    z = source[at + 3] if left > 3 else float32(0)
            store4(tile, row * (depth + PAD) + c, w, x, y, z)

    return copy
