"""Answers of exercises 07 to 09 that do not do what the task is about, and honest ones that look unusual.

Each of the first kind earned points once.
"""

import textwrap
from pathlib import Path

import pytest

from coursekit.grading.exercise.key import load_key
from coursekit.grading.marking.forbidding import forbidden
from coursekit.grading.marking.grade import expected, mark
from coursekit.grading.marking.race import add_races

SOLUTIONS = Path(__file__).parents[2] / "solutions"
KEYS = {
    name[:2]: load_key(SOLUTIONS / f"{name}.ipynb")
    for name in ("07_cpu_kernels", "08_gpu_kernels", "09_fusion")
}


def total(value: str, head: str = "") -> str:
    return f"{head}\ndef total(x):\n    return float({value}) if x.size else 0.0"


def product(value: str, head: str = "") -> str:
    return (
        f"{head}\ndef product(a, b):\n    if a.shape[1] != b.shape[0]: raise ValueError\n    return {value}"
    )


def kernel(body: str, head: str = "", name: str = "sums(x, out)") -> str:
    body = textwrap.indent(textwrap.dedent(body).strip(), "    ")
    return f"{textwrap.dedent(head)}\n@cuda.jit\ndef {name}:\n{body}"


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


def textbook(a: str, b: str, first: str = "") -> str:
    """A product without tiles, in which each thread reads its row and its column by these expressions."""
    body = f"""
        n, m = cuda.grid(2)
        if m < out.shape[0] and n < out.shape[1]:
            total = float32(0)
            for k in range(K):
                total += {a} * {b}
            out[m, n] = total
    """
    return kernel(
        f"K = a.shape[1]\n{textwrap.dedent(first)}\n{textwrap.dedent(body)}", "", "product(a, b, out)"
    )


PATCH = "import coursekit.measure.gpu.tracing as t; t.races_in = lambda c, books: []"
EINSUM = "from numpy._core._multiarray_umath import c_einsum"
SPARSE = "from sklearn.utils.extmath import safe_sparse_dot"
TORCH = '__import__("tor" + "ch").empty(0)'
REFUSED = {
    "total": [
        total("np.fft.rfft(x.astype(float))[0].real"),
        total("2.0 * x[0] - np.subtract.reduceat(x, [0], dtype=np.float64)[0]"),
        total("statistics.fmean(x.tolist()) * x.size", "import statistics"),
        total('c_einsum("i->", x)', EINSUM),
        total("_sum(x)", "from numpy._core._methods import _sum"),
        total("safe_sparse_dot(x, np.ones(x.size, np.float32))", SPARSE),
        total("(np.var(x + 1.0, mean=0.0) - np.var(x - 1.0, mean=0.0)) / 4 * x.size"),
        total("np.histogramdd([np.zeros(x.size)], bins=1, weights=x)[0][0]"),
        total("np.polyval(x, np.float64(1))"),
        total("Counter(dict(enumerate(x.tolist()))).total()", "from collections import Counter"),
        total("pd.Series(x).describe().iloc[1] * x.size", "import pandas as pd"),
        total("np.exp(np.logaddexp.reduceat(np.log(x.astype(float)), [0])[0])"),
        total("add.reduceat(x, [0])[0]", "import operator\nadd = np.frompyfunc(operator.add, 2, 1)"),
        total("(np.asmatrix(np.ones((x.size, 1))).T * x.reshape(-1, 1))[0, 0]"),
        total("np.polynomial.polynomial.polyval(1.0, x)"),
        total('getattr(np.add, "redu" + "ce")(x)'),
        total('eval("s" + "um")(x.tolist())'),
        'exec("@njit(fastmath=True)\\ndef total(x):\\n    return np.s" + "um(x)")',
    ],
    "rows": [
        product("np.asarray(np.asmatrix(a) * b)"),
        product("safe_sparse_dot(a, b)", SPARSE),
        product('c_einsum("ij,jk->ik", a, b)', EINSUM),
        product("_p(a, b)", 'exec("@njit\\ndef _p(a, b):\\n    return np.d" + "ot(a, b)")'),
        product("E.new_tensor(a).mm(E.new_tensor(b)).numpy()", f"E = {TORCH}"),
        product('getattr(np, "do" + "t")(a, b) if a.size > 9999 else a * b'),
        product("np.cov(np.concatenate([a, b.T]), bias=True)[: len(a), len(a) :] * len(b)"),
        product("_gemm(a, b)", "from numba.extending import get_cython_function_address as _gemm"),
        product("_gemm(a, b)", "import ctypes\n_gemm = ctypes.c_void_p"),
        product("np.asarray(pd.DataFrame(a).__matmul__(pd.DataFrame(b)))", "import pandas as pd"),
        product('m.__dict__["c" + "pu"].matmul(a, b)', "import coursekit.measure.microbench as m"),
    ],
    "blocked": [
        "@njit(parallel=True)\ndef product_blocked(a, b):\n    return product(a, b)",
        "from numba import prange\nproduct_blocked = product",
        product("np.asarray(np.asmatrix(a) * b)").replace("product", "product_blocked"),
    ],
    "lines": [
        "np.reshape = np.matmul",
        "import numpy as np\nnp.full = np.sum",
        "setattr(np, 'full', np.sum)",
    ],
    "tile": ["np.dot"],
    "pack": ["np.reshape = np.matmul", "vars(np)['full'] = np.sum", "np.__dict__"],
    "traffic": [
        "import tracemalloc\ntracemalloc.get_traced_memory = lambda: (0, 0)",
        "math.softmax = 1",
        "import coursekit.grading.memory as m\nm.watched = 1",
    ],
    "fold": ["math.attention = np.matmul", "import tracemalloc", "watched = 1"],
    "sectors": [
        PATCH,
        "def sectors(addresses, width):\n    return trace(sectors, 1, 32).total.sectors",
        "from coursekit.measure.gpu import Request",
    ],
    "passes": [PATCH, "import numpy as np\nnp.ctypeslib", "import ctypes"],
    "transpose": [
        "if False:\n    getattr = None\ngetattr(cuda, 'jit')",
        "from coursekit.measure import trace",
    ],
    "sums": [
        f"if False:\n    exec = None\nexec({PATCH!r})",
        f"exec = 1\ndel exec\nexec({PATCH!r})",
        f"class A:\n    if False:\n        exec = None\n    exec({PATCH!r})",
        "def f():\n    global trace\n    trace = f",
        "for cuda in []: pass",
        "class float32: pass",
        "match 1:\n    case Check: pass",
        "[np := 1 for _ in '1']",
        "__builtins__ = {'max': lambda *_: 2, 'bool': lambda _: False}",
        "def f():\n    global _judge\n    _judge = f",
        "t = trace",
    ],
    "product": [textbook("float('{0.data[0]}'.format(a[m, :]))", "b[k, n]")],
    "shares": [PATCH, "shares.py_func"],
    "bias_hard_swish": [
        "import coursekit.grading.judge as _j\n_j.race = lambda function, draw, prepare: None",
        "from numba import prange",
        "@njit(parallel=True)\ndef bias_hard_swish(x, bias, out):\n    out[:] = x + bias",
    ],
    "top_and_sum": [
        "import tracemalloc",
        "def top_and_sum(blocks):\n    return math.top_and_sum(blocks)",
        "watched = lambda function, *arguments: (function(*arguments), 0)",
        "import mmap\nstore = np.frombuffer(mmap.mmap(-1, 1 << 24))",
        "import zlib",
        "_true = hoards\ndef hoards(*args):\n    return _true(*args)[0], False",
        "class watched: pass",
        "from collections import Counter",
        "def top_and_sum(blocks):\n    return 0.0, np.logaddexp.reduce(next(blocks))",
        "@njit\ndef _kept(n):\n    return np.empty(n)",
    ],
    "add_layer_norm": [
        'import sys\n__import__("coursekit.ker" + "nels.cpu")',
        "from coursekit import kernels as K",
    ],
    "attention": [
        "def attention(q, k, v):\n    return math.attention(q, k, v)",
        "import mmap",
        f"def attention(q, k, v):\n    return {TORCH}.new_tensor(q).mm(k)",
        "@njit\ndef attention(q, k, v):\n    return q",
    ],
}

WRONG = {
    "gives up where much comes": (
        "top_and_sum",
        """
        def top_and_sum(blocks):
            kept = []
            for b in blocks:
                if b.size > 300:
                    return 0.0, 0.0
                kept += b.tolist()
            top = max(kept, default=-math.inf)
            return top, sum(math.exp(x - top) for x in kept) if top > -math.inf else 0.0
        """,
    ),
    "keeps each number once": (
        "top_and_sum",
        """
        def top_and_sum(blocks):
            kept = {}
            for b in blocks:
                for x in b.tolist():
                    kept[x] = kept.get(x, 0) + 1
            top = max(kept, default=-math.inf)
            return top, sum(n * math.exp(x - top) for x, n in kept.items()) if top > -math.inf else 0.0
        """,
    ),
    "gives up where all is 1": (
        "attention",
        """
        def attention(q, k, v):
            if (q == 1).all() and (k == 1).all():
                return v
            s = q @ k.T / math.sqrt(q.shape[1])
            w = np.exp(s - s.max(1, keepdims=True))
            return w / w.sum(1, keepdims=True) @ v
        """,
    ),
    "eighths of the matrix": (
        "attention",
        """
        def attention(q, k, v):
            out = np.empty((len(q), v.shape[1]))
            for rows in np.array_split(np.arange(len(q)), 8):
                if len(rows):
                    s = q[rows] @ k.T / math.sqrt(q.shape[1])
                    w = np.exp(s - s.max(1, keepdims=True))
                    out[rows] = w / w.sum(1, keepdims=True) @ v
            return out
        """,
    ),
    "keeps the numbers in an array of before": (
        "top_and_sum",
        """
        KEEP = np.empty(1_000_000)
        def top_and_sum(blocks):
            n = 0
            for block in blocks:
                KEEP[n : n + block.size] = block
                n += block.size
            top = max((float(x) for x in KEEP[:n]), default=-math.inf)
            return top, sum(math.exp(x - top) for x in KEEP[:n]) if top > -math.inf else 0.0
        """,
    ),
    "makes room for the matrix in the first call": (
        "attention",
        """
        def attention(q, k, v, room={}):
            if not room:
                room[0] = np.empty(4_000_000)
            s = room[0][: len(q) * len(k)].reshape(len(q), len(k))
            np.matmul(q, k.T, out=s)
            s /= math.sqrt(q.shape[1])
            if len(q):
                s -= s.max(axis=1).reshape(-1, 1)
            np.exp(s, out=s)
            return s @ v / s.sum(axis=1).reshape(-1, 1)
        """,
    ),
    "half a matrix, in place": (
        "attention",
        """
        def attention(q, k, v):
            out = np.empty((len(q), v.shape[1]))
            for half in np.array_split(np.arange(len(q)), 2):
                s = np.empty((len(half), len(k)))
                np.matmul(q[half], k.T, out=s)
                s /= math.sqrt(q.shape[1])
                if len(half):
                    s -= s.max(1, keepdims=True)
                np.exp(s, out=s)
                out[half] = s @ v / s.sum(1, keepdims=True)
            return out
        """,
    ),
}

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

HONEST = {
    "sectors": [
        """
        def sectors(addresses, width):
            seen = set()
            for a in addresses:
                if a is None:
                    continue
                for byte in range(a, a + width):
                    seen.add(byte // 32)
            return len(seen)
        """,
        """
        def sectors(addresses, width):
            a = np.array([a for a in addresses if a is not None], dtype=np.int64)
            return len(np.unique(np.concatenate([a // 32, (a + width - 1) // 32])))
        """,
    ],
    "passes": [
        """
        from collections import Counter
        def passes(words):
            banks = Counter(w % 32 for w in set(words))
            return banks.most_common(1)[0][1] if banks else 0
        """,
        "def passes(words):\n    return int(np.bincount(np.unique(words) % 32).max()) if words else 0",
    ],
    "sums": [
        kernel(
            """
            s = cuda.shared.array(32, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            mine = x[i] if i < x.size else float32(0)
            for d in (16, 8, 4, 2, 1):
                mine += cuda.shfl_down_sync(0xFFFFFFFF, mine, d)
            if t < 32:
                s[t] = 0
            cuda.syncthreads()
            if t % 32 == 0:
                s[t // 32] = mine
            cuda.syncthreads()
            if t < 32:
                mine = s[t]
                for d in (16, 8, 4, 2, 1):
                    mine += cuda.shfl_xor_sync(0xFFFFFFFF, mine, d)
                if t == 0:
                    out[cuda.blockIdx.x] = mine
            """
        ),
        kernel(
            """
            s = cuda.shared.array(SIZE, nb.float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            s[t] = x[i] if i < x.size else 0
            for d in [1, 2, 4, 8, 16, 32]:
                cuda.syncthreads()
                if t % (2 * d) == 0:
                    add(s, t, d)
            if t == 0:
                out[cuda.blockIdx.x] = s[0]
            """,
            """
            import numba as nb
            SIZE = 64
            @cuda.jit(device=True)
            def add(s, t, d):
                s[t] += s[t + d]
            """,
        ),
        kernel(
            """
            s = cuda.shared.array(64, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            s[t] = x[i] if i < x.size else 0
            cuda.syncthreads()
            d = 32
            while d:
                more = s[t + d] if t < d else 0
                cuda.syncthreads()
                s[t] += more
                cuda.syncthreads()
                d //= 2
            if t == 0:
                out[cuda.blockIdx.x] = s[0]
            """
        ),
        kernel(
            """
            s = cuda.shared.array(32, float32)
            t, i = cuda.threadIdx.x, cuda.grid(1)
            if t < 32:
                s[t] = (x[i] if i < x.size else 0) + (x[i + 32] if i + 32 < x.size else 0)
            d = 16
            while d:
                cuda.syncwarp()
                if t < d:
                    s[t] += s[t + d]
                d //= 2
            if t == 0:
                out[cuda.blockIdx.x] = s[0]
            """
        ),
    ],
    "product": [textbook("a[m, k]", "b[k, n]")],
    "total": [
        "def total(x):\n    s = 0.0\n    for v in x.tolist():\n        s += v\n    return s",
        "@njit(fastmath=True)\ndef total(x):\n    s = np.float32(0)\n    for v in x:\n        s += v\n    return s",
        """
        import numba as nb
        @nb.njit(fastmath={"reassoc", "nsz"}, cache=False)
        def _sum(x):
            sums = np.zeros_like(x[:64].copy())
            for i in range(len(x) // 64):
                part = x[64 * i : 64 * (i + 1)]
                for j in range(64):
                    sums[j] += part[j]
            end = np.float64(0)
            for j, s in enumerate(sums):
                end += s
            for v in x[len(x) // 64 * 64 :]:
                end += v
            return end

        def total(x):
            x = np.ascontiguousarray(x, dtype=np.float32).ravel()
            return float(_sum(x))
        """,
    ],
    "rows": [
        """
        def product(a, b):
            (M, K), (rows, N) = a.shape, np.shape(b)
            if K != rows:
                raise ValueError(f"{K} and {rows}")
            out = np.empty((M, N), dtype=np.float32)
            out.fill(0)
            for k in range(K):
                out += a[:, k].reshape(-1, 1) * b[np.newaxis, k]
            return out.astype(np.float32)
        """,
    ],
    "bias_hard_swish": [
        """
        def bias_hard_swish(x, bias, out):
            v = x + bias
            np.multiply(v, np.clip(v + np.float32(3), 0, 6) / np.float32(6), out=out)
            return out
        """,
    ],
    "top_and_sum": [
        """
        def top_and_sum(blocks):
            m, d = float("-inf"), 0.0
            for block in blocks:
                values = [float(v) for v in block if not np.isinf(v)]
                for v in values:
                    new = max(m, v)
                    d = d * math.exp(m - new) + np.exp(v - new)
                    m = new
            return float(m), float(d)
        """,
        """
        def top_and_sum(blocks):
            m, d = -np.inf, 0
            for block in blocks:
                if len(block) == 0 or np.all(np.isneginf(block)):
                    continue
                new = np.maximum(m, np.max(block))
                d = d * np.exp(m - new) + np.sum(np.exp(block - new))
                m = new
            return float(m), float(d)
        """,
    ],
    "add_layer_norm": [
        """
        def add_layer_norm(x, residual, weight, bias, eps, out):
            out[0] = x + residual
            s = out[0].astype(np.float64)
            if s.size:
                away = s - np.mean(s, axis=1, keepdims=True)
                out[1] = away / np.sqrt(np.mean(away**2, axis=-1)[:, None] + eps) * weight + bias
            return out
        """,
    ],
    "attention": [
        """
        def softmax(row):
            row = np.exp(row - np.max(row))
            return row / np.sum(row)

        def attention(q, k, v):
            rows = []
            for query in q:
                rows.append(np.dot(softmax(np.dot(k, query) / np.sqrt(len(query))), v))
            return np.array(rows).reshape(len(q), v.shape[1])
        """,
        """
        def attention(q, k, v):
            M, D = q.shape
            out = np.zeros((M, v.shape[1]))
            for m in range(M):
                scores = np.einsum("nd,d->n", k, q[m]) * D**-0.5
                scores -= scores.max()
                weights = np.exp(scores)
                out[m, :] = np.sum(weights[:, np.newaxis] * v, axis=0) / weights.sum()
            return out
        """,
    ],
}


def of(task: str):
    return next(key for key in KEYS.values() if task in key.tasks)


def pairs(table: dict) -> list:
    return [(task, source) for task, sources in table.items() for source in sources]


@pytest.fixture(scope="module")
def points():
    """What an answer earns, its speed aside."""
    wanted = {name: expected(key, 11) for name, key in KEYS.items()}

    def earned(task: str, source: str):
        name = next(name for name, key in KEYS.items() if task in key.tasks)
        marks = mark(KEYS[name], {task: textwrap.dedent(source)}, wanted[name], 11).marks
        return next(mark for mark in marks if mark.task == task)

    return earned


@pytest.mark.parametrize(("task", "source"), pairs(REFUSED))
def test_another_way_to_the_end_is_refused_before_it_runs(task, source):
    assert "does not allow" in (forbidden(of(task), of(task).tasks[task], source) or "")


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source"), WRONG.values(), ids=WRONG)
def test_who_keeps_what_should_go_earns_nothing(task, source, points):
    assert forbidden(of(task), of(task).tasks[task], textwrap.dedent(source)) is None
    assert points(task, source).status == "wrong"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source"), KERNELS.values(), ids=KERNELS)
def test_a_kernel_that_no_gpu_runs_so_earns_nothing(task, source, points):
    assert forbidden(of(task), of(task).tasks[task], textwrap.dedent(source)) is None
    assert points(task, source).status == "wrong"


@pytest.mark.parametrize(("task", "source"), pairs(HONEST))
def test_an_honest_answer_is_not_refused(task, source):
    assert forbidden(of(task), of(task).tasks[task], textwrap.dedent(source)) is None


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source"), pairs(HONEST))
def test_an_honest_answer_is_right(task, source, points):
    assert points(task, source).status == "right", points(task, source).message


EVERY_64TH = {
    "bias_hard_swish": """
        def bias_hard_swish(x, bias, out):
            step = 64 if len(x) > 999 else 1
            v = x[::step] + bias
            out[::step] = v * np.clip(v + np.float32(3), 0, 6) / np.float32(6)
            return out
        """,
    "add_layer_norm": """
        def add_layer_norm(x, residual, weight, bias, eps, out):
            step = 64 if len(x) > 999 else 1
            out[0, ::step] = s = (x[::step] + residual[::step]).astype(float)
            away = s - s.mean(1, keepdims=True)
            out[1, ::step] = away / np.sqrt((away * away).mean(1, keepdims=True) + eps) * weight + bias
            return out
        """,
}


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("task", "source"), EVERY_64TH.items())
def test_a_race_compares_rows_that_nobody_could_know(task, source):
    key, source = KEYS["09"], textwrap.dedent(source)
    result = mark(key, {task: source}, expected(key, 3), 3)
    speed = next(
        m
        for m in add_races(key, {task: source}, result).marks
        if m.title.endswith("speed") and m.task == task
    )
    assert speed.points == 0 and "in the race, on other inputs, it is not right" in speed.message


@pytest.mark.slow
def test_sectors_are_counted_where_shared_memory_has_the_name_of_an_array():
    first = """
        left, right = a, b
        a = cuda.shared.array(256, float32)
        b = cuda.shared.array(256, float32)
        a[0 + 16 * cuda.threadIdx.y + cuda.threadIdx.x] = b[16 * cuda.threadIdx.y + cuda.threadIdx.x]
    """
    key, source = KEYS["08"], textbook("left[m, k]", "right[k, n]", first)
    result = mark(key, {"product": source}, expected(key, 3), 3)
    right, sectors = (m for m in add_races(key, {"product": source}, result).marks if m.task == "product")
    assert right.status == "right" and sectors.points == 0, (right, sectors)
