"""Kernels of exercise 08 that no GPU runs as they are traced. Each earned points once."""

import textwrap

import pytest

from coursekit.grading.marking.forbidding import forbidden

from .real_keys import earned, kernel, of, raced, textbook


def hoard(box: str, head: str = "", first: str = "") -> str:
    """A sum by threads that share what `box` names, which is no memory of a GPU."""
    body = f"""
        b, t, i = cuda.blockIdx.x, cuda.threadIdx.x, cuda.grid(1)
        box = {box}
        box[b] = (box[b] if t else 0) + (x[i] if i < x.size else 0)
        if t == 63:
            out[b] = box[b]
    """
    return kernel(f"{first}\n{textwrap.dedent(body)}", head)


KERNELS = {
    "one index for all elements": (
        "transpose",
        kernel(
            """
            if cuda.grid(2) == (0, 0):
                M, N = x.shape
                if min(M, N) > 1:
                    out[True, True] = x[True, True].reshape(M, N).T
                else:
                    for m in range(M):
                        for n in range(N):
                            out[n, m] = x[m, n]
            """,
            "",
            "transpose(x, out)",
        ),
    ),
    "catches where it leaves its array": (
        "transpose",
        kernel(
            """
            tile = cuda.shared.array((32, 33), float32)
            i, j = cuda.threadIdx.x, cuda.threadIdx.y
            top, left = 32 * cuda.blockIdx.y, 32 * cuda.blockIdx.x
            for k in range(j, 32, 8):
                try:
                    tile[k, i] = x[top + k, left + i]
                except IndexError:
                    pass
            cuda.syncthreads()
            for k in range(j, 32, 8):
                try:
                    out[left + k, top + i] = tile[i, k]
                except IndexError:
                    pass
            """,
            "",
            "transpose(x, out)",
        ),
    ),
    "an index that is another one each time": (
        "product",
        textbook("a[I(m), I(k)]", "b[I(k), I(n)]", "class I(int):\n    def __mod__(self, n): return 0"),
    ),
    "copies of rows and columns": ("product", textbook("a[[m], :][0, k]", "b[:, [n]][k, 0]")),
    "in the body of a class": ("sums", hoard("K.x", "store = {}", "class K:\n    x = store")),
    "in a class of NumPy's, as it says": ("sums", hoard("K.x", 'class K:\n    __module__, x = "numpy", {}')),
    "in a number": ("sums", hoard("K.x", "class A(int):\n    x = {}\nK = A()")),
    "in a tuple": ("sums", hoard("K.x", "class A(tuple):\n    x = {}\nK = A()")),
    "in a type of Numba's": ("sums", hoard("F.x", "F = float32\nF.x = {}")),
    "in a type of Numba's, in its module": (
        "sums",
        hoard("g.x", "import numba as nb\nF = float32\nF.x = {}", "g = nb.float32"),
    ),
    "in a type of arrays": ("sums", hoard("F.x", "F = float32[:]\nF.x = {}")),
    "in local memory that another thread had": (
        "sums",
        hoard("s", "", "s = cuda.local.array(64, float32)").replace("box[b]", "box[5]"),
    ),
    "in shared memory of objects": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(1, "O")
            t, i = cuda.threadIdx.x, cuda.grid(1)
            if t == 0:
                s[0] = [0.0]
            cuda.syncthreads()
            s[0][0] += x[i] if i < x.size else 0
            cuda.syncthreads()
            if t == 0:
                out[cuda.blockIdx.x] = s[0][0]
            """
        ),
    ),
    "in a list that is passed on": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(2, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            box = cuda.shfl_sync(0xFFFFFFFF, [0.0], 0)
            box[0] += x[i] if i < x.size else 0
            cuda.syncwarp()
            if t % 32 == 0:
                s[t // 32] = box[0]
            cuda.syncthreads()
            if t == 0:
                out[cuda.blockIdx.x] = s[0] + s[1]
            """
        ),
    ),
    "a function that is another one each time": (
        "sums",
        """
        class A:
            def __get__(self, *_):
                return real
        class K:
            __module__, py_func = "numba.cuda", A()
        def real(x, out):
            i = cuda.grid(1)
            if i < x.size:
                cuda.atomic.add(out, cuda.blockIdx.x, x[i])
        sums = K()
        """,
    ),
    "a barrier that half the threads leave out": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(64, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            s[t] = x[i] if i < x.size else 0
            cuda.syncthreads()
            half = 32
            while half:
                if t < half:
                    s[t] += s[t + half]
                    cuda.syncthreads()
                half //= 2
            if t == 0:
                out[cuda.blockIdx.x] = s[0]
            """
        ),
    ),
    "one thread, with a barrier before each number": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(64, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            s[t] = x[i] if i < x.size else 0
            total = float32(0)
            for k in range(64):
                cuda.syncthreads()
                if t == 0:
                    total += s[k]
            if t == 0:
                out[cuda.blockIdx.x] = total
            """
        ),
    ),
    "one lane, by shuffles": (
        "sums",
        kernel(
            """
            s = cuda.shared.array(2, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            mine, total = x[i] if i < x.size else float32(0), float32(0)
            for k in range(32):
                total += cuda.shfl_sync(0xFFFFFFFF, mine, k)
            if t % 32 == 0:
                s[t // 32] = total
            cuda.syncthreads()
            if t == 0:
                out[cuda.blockIdx.x] = s[0] + s[1]
            """
        ),
    ),
    "other builtins": (
        "sums",
        kernel(
            "if cuda.threadIdx.x == 0:\n    out[cuda.blockIdx.x] = math.fsum(x[64 * cuda.blockIdx.x :][:64])",
            "import math\ndef max(*_): return 2\ndef bool(_): return False",
        ),
    ),
    "another kernel, with as many barriers": (
        "shares",
        kernel(
            """
            i, first = cuda.grid(1), 128 * cuda.blockIdx.x
            total = tail = 0.0
            for k in range(first, min(first + 128, len(x))):
                total += x[k]
                if k >= i:
                    tail += x[k]
            for _ in range(15):
                cuda.syncthreads()
            if i < len(x):
                out[i] = tail / total
            """,
            "",
            "shares(x, out)",
        ),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source"), KERNELS.values(), ids=KERNELS)
def test_a_kernel_that_no_gpu_runs_so_earns_nothing(task, source):
    assert forbidden(of(task), of(task).tasks[task], textwrap.dedent(source)) is None
    assert earned(task, source).status == "wrong"


@pytest.mark.slow
def test_sectors_are_counted_where_shared_memory_has_the_name_of_an_array():
    first = """
        left, right = a, b
        a = cuda.shared.array(256, float32)
        b = cuda.shared.array(256, float32)
        a[0 + 16 * cuda.threadIdx.y + cuda.threadIdx.x] = b[16 * cuda.threadIdx.y + cuda.threadIdx.x]
    """
    right, sectors = raced("product", textbook("left[m, k]", "right[k, n]", first))
    assert right.status == "right" and sectors.points == 0, (right, sectors)
