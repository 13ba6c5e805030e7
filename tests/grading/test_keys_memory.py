"""Answers of exercise 09 that keep what should go. Each earned points once."""

import textwrap

import pytest

from coursekit.grading.marking.forbidding import forbidden

from .real_keys import earned, of

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


@pytest.mark.slow
@pytest.mark.parametrize(("task", "source"), WRONG.values(), ids=WRONG)
def test_who_keeps_what_should_go_earns_nothing(task, source):
    assert forbidden(of(task), of(task).tasks[task], textwrap.dedent(source)) is None
    assert earned(task, source).status == "wrong"
