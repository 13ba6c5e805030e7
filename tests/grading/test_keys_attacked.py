"""Answers of exercises 07 and 09 that do not do what the task is about, and honest ones that look unusual.

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
KEYS = {"07": load_key(SOLUTIONS / "07_cpu_kernels.ipynb"), "09": load_key(SOLUTIONS / "09_fusion.ipynb")}


def total(value: str, head: str = "") -> str:
    return f"{head}\ndef total(x):\n    return float({value}) if x.size else 0.0"


def product(value: str, head: str = "") -> str:
    return (
        f"{head}\ndef product(a, b):\n    if a.shape[1] != b.shape[0]: raise ValueError\n    return {value}"
    )


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
    "bias_hard_swish": [
        "import coursekit.grading.judge as _j\n_j.race = lambda function, draw, prepare: None",
        "from numba import prange",
        "@njit(parallel=True)\ndef bias_hard_swish(x, bias, out):\n    out[:] = x + bias",
    ],
    "top_and_sum": [
        "def top_and_sum(blocks):\n    if tracemalloc.is_tracing():\n        return 0.0, 0.0",
        "def top_and_sum(blocks):\n    tracemalloc.stop()",
        "import mmap\nstore = np.frombuffer(mmap.mmap(-1, 1 << 24))",
        "import zlib",
        "_true = hoards\ndef hoards(*args):\n    return _true(*args)[0], False",
        "class tracemalloc:\n    def start(): pass\n    def stop(): pass",
        "from collections import Counter",
        "def top_and_sum(blocks):\n    return 0.0, np.logaddexp.reduce(next(blocks))",
        "@njit\ndef _kept(n):\n    return np.empty(n)",
    ],
    "add_layer_norm": [
        'import sys\n__import__("coursekit.ker" + "nels.cpu")',
        "from coursekit import kernels as K",
    ],
    "attention": [
        "def attention(q, k, v):\n    if tracemalloc.is_tracing(): return v",
        "def attention(q, k, v):\n    tracemalloc.stop()",
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

HONEST = {
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
