"""Answers of exercises 07 to 09 that use what their tasks do not allow. Each earned points once."""

import pytest

from coursekit.grading.marking.forbidding import forbidden

from .real_keys import of, pairs, textbook


def total(value: str, head: str = "") -> str:
    return f"{head}\ndef total(x):\n    return float({value}) if x.size else 0.0"


def product(value: str, head: str = "") -> str:
    return (
        f"{head}\ndef product(a, b):\n    if a.shape[1] != b.shape[0]: raise ValueError\n    return {value}"
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
    "shares": [
        PATCH,
        "shares.py_func",
        "cuda.syncwarp()",
        "cuda.shfl_sync(0, 1, 0)",
        "from numba.cuda import syncwarp",
    ],
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


@pytest.mark.parametrize(("task", "source"), pairs(REFUSED))
def test_another_way_to_the_end_is_refused_before_it_runs(task, source):
    assert "does not allow" in (forbidden(of(task), of(task).tasks[task], source) or "")
