"""Honest answers of exercises 07 to 09 that look unusual."""

import textwrap

import pytest

from coursekit.grading.marking.forbidding import forbidden

from .real_keys import earned, kernel, of, pairs, textbook

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


@pytest.mark.parametrize(("task", "source"), pairs(HONEST))
def test_an_honest_answer_is_not_refused(task, source):
    assert forbidden(of(task), of(task).tasks[task], textwrap.dedent(source)) is None


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source"), pairs(HONEST))
def test_an_honest_answer_is_right(task, source):
    assert earned(task, source).status == "right", earned(task, source).message
