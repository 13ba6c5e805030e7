"""Kernels of exercise 08 that come to the right numbers, or to few sectors, past what the task is about.

Most earned points once: threads that overwrite each other until the last one is right, one thread that does the work
of many, and lanes that take turns.
"""

import textwrap

import pytest

from coursekit.grading.marking.forbidding import forbidden

from .real_keys import earned, kernel, of, pairs, raced

TRANSPOSE, PRODUCT = "transpose(x, out)", "product(a, b, out)"

WRONG = {
    "each thread writes a whole row, the last one rightly": (
        "transpose",
        kernel(
            """
            i, j = cuda.threadIdx.x, cuda.threadIdx.y
            top, left = 32 * cuda.blockIdx.y, 32 * cuda.blockIdx.x
            for k in range(j, 32, 8):
                for n in range(32):
                    if left + k < out.shape[0] and top + n < out.shape[1]:
                        out[left + k, top + n] = x[top + n, left + k] if n <= i else float32(0)
            """,
            "",
            TRANSPOSE,
        ),
        "race",
    ),
    "columns of a tile, a lane in each turn": (
        "transpose",
        kernel(
            """
            tile = cuda.shared.array((32, 32), float32)
            i, j = cuda.threadIdx.x, cuda.threadIdx.y
            top, left = 32 * cuda.blockIdx.y, 32 * cuda.blockIdx.x
            for k in range(j, 32, 8):
                if top + k < x.shape[0] and left + i < x.shape[1]:
                    tile[k, i] = x[top + k, left + i]
            cuda.syncthreads()
            for k in range(j, 32, 8):
                if left + k < out.shape[0] and top + i < out.shape[1]:
                    mine, lane = float32(0), 0
                    while lane < 32:
                        if lane == i:
                            mine = tile[i, k]
                        lane += 1
                    out[left + k, top + i] = mine
            """,
            "",
            TRANSPOSE,
        ),
        "passes in each block",
    ),
    "columns of a tile, by a function that calls itself": (
        "transpose",
        kernel(
            """
            tile = cuda.shared.array((32, 32), float32)
            i, j = cuda.threadIdx.x, cuda.threadIdx.y
            top, left = 32 * cuda.blockIdx.y, 32 * cuda.blockIdx.x
            for k in range(j, 32, 8):
                if top + k < x.shape[0] and left + i < x.shape[1]:
                    tile[k, i] = x[top + k, left + i]
            cuda.syncthreads()
            for k in range(j, 32, 8):
                if left + k < out.shape[0] and top + i < out.shape[1]:
                    out[left + k, top + i] = taken(tile, i, k, 0)
            """,
            """
            @cuda.jit(device=True)
            def taken(tile, i, k, lane):
                return tile[i, k] if lane == i else taken(tile, i, k, lane + 1)
            """,
            TRANSPOSE,
        ),
        "passes in each block",
    ),
    "sums from the first on, all written to one element": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(64, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            s[t] = x[i] if i < x.size else float32(0)
            cuda.syncthreads()
            d = 1
            while d < 64:
                more = s[t - d] if t >= d else float32(0)
                cuda.syncthreads()
                s[t] += more
                cuda.syncthreads()
                d *= 2
            out[cuda.blockIdx.x] = s[t]
            """
        ),
        "race",
    ),
    "zeros for the sums of later blocks": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(64, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            s[t] = x[i] if i < x.size else float32(0)
            half = 32
            while half > 0:
                cuda.syncthreads()
                if t < half:
                    s[t] += s[t + half]
                half //= 2
            if t == 0:
                for b in range(cuda.blockIdx.x, out.size):
                    out[b] = s[0] if b == cuda.blockIdx.x else float32(0)
            """
        ),
        "race",
    ),
    "eight threads add eight numbers each": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(8, float32)
            t, first, total = cuda.threadIdx.x, 64 * cuda.blockIdx.x, float32(0)
            for k in range(4):
                cuda.syncthreads()
                if t < 8:
                    for i in (first + 8 * t + 2 * k, first + 8 * t + 2 * k + 1):
                        total += x[i] if i < x.size else float32(0)
            if t < 8:
                s[t] = total
            for d in (4, 2, 1):
                cuda.syncthreads()
                if t < d:
                    total += s[t + d]
                    s[t] = total
            if t == 0:
                out[cuda.blockIdx.x] = total
            """
        ),
        "numbers of x read",
    ),
    "two threads add sixteen sums each": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(32, float32)
            t, i, total = cuda.threadIdx.x, cuda.grid(1), float32(0)
            if t < 32:
                s[t] = (x[i] if i < x.size else 0) + (x[i + 32] if i + 32 < x.size else 0)
            for k in range(0, 16, 2):
                cuda.syncthreads()
                if t < 2:
                    total += s[16 * t + k] + s[16 * t + k + 1]
            cuda.syncthreads()
            if t == 1:
                s[0] = total
            cuda.syncthreads()
            if t == 0:
                out[cuda.blockIdx.x] = total + s[0]
            """
        ),
        "reads in all",
    ),
    "the row of a block by each thread, the last one rightly": (
        "product",
        kernel(
            """
            (M, K), N = a.shape, b.shape[1]
            n, m = cuda.grid(2)
            for column in range(16 * cuda.blockIdx.x, min(16 * cuda.blockIdx.x + 16, N)):
                total = float32(0)
                if m < M:
                    for k in range(K):
                        total += a[m, k] * b[k, column] if column <= n else float32(0)
                    out[m, column] = total
            """,
            "",
            PRODUCT,
        ),
        "race",
    ),
    "each thread computes two by two": (
        "product",
        kernel(
            """
            (M, K), N = a.shape, b.shape[1]
            n, m = cuda.grid(2)
            if m % 2 == 0 and n % 2 == 0:
                for row in range(m, min(m + 2, M)):
                    for column in range(n, min(n + 2, N)):
                        total = float32(0)
                        for k in range(K):
                            total += a[row, k] * b[k, column]
                        out[row, column] = total
            """,
            "",
            PRODUCT,
        ),
        "elements of out written",
    ),
    "one thread computes all, the others write": (
        "product",
        kernel(
            """
            s = cuda.shared.array((16, 16), float32)
            (M, K), N = a.shape, b.shape[1]
            n, m = cuda.grid(2)
            top, left = m - cuda.threadIdx.y, n - cuda.threadIdx.x
            if m == top and n == left:
                for row in range(top, min(top + 16, M)):
                    for column in range(left, min(left + 16, N)):
                        total = float32(0)
                        for k in range(K):
                            total += a[row, k] * b[k, column]
                        s[row - top, column - left] = total
            cuda.syncthreads()
            if m < M and n < N:
                out[m, n] = s[m - top, n - left]
            """,
            "",
            PRODUCT,
        ),
        "reads for 16 along K",
    ),
}
"""By what it does: the task, the answer, and the entry of the marks that gives it away."""

FIRST_ONE = """
    (M, K), N = a.shape, b.shape[1]
    n, m = cuda.grid(2)
    if M > 32:
        if n == 0 and m == 0:
            rows = cuda.local.array((48, 48), float32)
            for i in range(M):
                for k in range(K):
                    rows[i, k] = a[i, k]
            for j in range(N):
                column = cuda.local.array(48, float32)
                for k in range(K):
                    column[k] = b[k, j]
                for i in range(M):
                    total = float32(0)
                    for k in range(K):
                        total += rows[i, k] * column[k]
                    out[i, j] = total
    elif m < M and n < N:
        total = float32(0)
        for k in range(K):
            total += a[m, k] * b[k, n]
        out[m, n] = total
"""
MANY_SECTORS = {
    "sums": [
        kernel(
            """
            s = cuda.shared.array(64, float32)
            t, i, mine = cuda.threadIdx.x, cuda.grid(1), float32(0)
            for lane in range(32):
                if lane == t % 32 and i < x.size:
                    mine = x[i]
            s[t] = mine
            half = 32
            while half > 0:
                cuda.syncthreads()
                if t < half:
                    s[t] += s[t + half]
                half //= 2
            if t == 0:
                out[cuda.blockIdx.x] = s[0]
            """
        )
    ],
    "product": [kernel(FIRST_ONE, "", PRODUCT)],
}


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source", "entry"), WRONG.values(), ids=WRONG)
def test_what_the_task_is_not_about_earns_nothing(task, source, entry):
    assert forbidden(of(task), of(task).tasks[task], textwrap.dedent(source)) is None
    found = earned(task, source)
    assert found.status == "wrong" and f"at [{entry!r}]" in found.message, found.message


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source"), pairs(MANY_SECTORS))
def test_right_numbers_by_many_sectors_or_by_one_thread_where_nobody_looked_earn_none_for_traffic(
    task, source
):
    right, sectors = raced(task, source)
    assert right.status == "right" and sectors.points == 0, (right.message, sectors.message)
