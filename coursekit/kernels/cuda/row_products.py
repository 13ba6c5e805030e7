"""Products of rows with rows, out of shared memory into registers: a·bᵀ, a tile of it for each thread."""

from numba import cuda

from coursekit.kernels.cuda.vectors import load4


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
