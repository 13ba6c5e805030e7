"""A linear recurrence: step by step, by doubling, and by doubling inside of registers.

Step by step, each state waits for the last, and a multiply-add takes about four cycles: a core that could do dozens of
them in that time does one. But a step is the function h → a h + b, and one such function after another is one again:
a₂ (a₁ h + b₁) + b₂ = (a₂ a₁) h + (a₂ b₁ + b₂). So what many steps do can be summed up before the state that they begin
with is known.
"""

import numpy as np

from coursekit.kernels.cpu.arrays import boundary
from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.simd import broadcast, fma, load, store, width
from coursekit.kernels.cpu.simd_scans import last, scan_lanes
from coursekit.kernels.cpu.threads import get_num_threads, split
from coursekit.kernels.ops import OPS


@compiled
def _steps(a, b, h, out):
    for t in range(a.size):
        h = a[t] * h + b[t]
        out[t] = h
    return h


@boundary(OPS["linear_recurrence"])
def linear_recurrence_textbook(a, b, h0=None, *, out=None):
    """:func:`linear_recurrence` step by step: the least work, in one chain."""
    for n, h in enumerate(_first(h0, b)):
        _steps(a[n], b[n], h, out[n])


def _first(h0, like):
    return np.zeros(len(like), like.dtype) if h0 is None else h0


@compiled
def _double(a, b):
    """``b`` becomes the states, ``a`` the products of all factors. From the end, so that none is read too late."""
    reach = 1
    while reach < a.size:
        for t in range(a.size - 1, reach - 1, -1):
            b[t] += a[t] * b[t - reach]
            a[t] *= a[t - reach]
        reach *= 2


@boundary(OPS["linear_recurrence"])
def linear_recurrence_doubling(a, b, h0=None, *, out=None):
    """:func:`linear_recurrence` in log₂ T passes, each without an order: Hillis and Steele, "Data parallel algorithms",
    CACM 29(12), 1986.

    After the pass that reaches back by r, a pair sums up 2 r steps. That is T log₂ T pairs in the place of T: it wins
    with as many processors as steps, and on a few it only shows the way.
    """
    products = a.copy()
    out[...] = b
    if out.size:
        out[:, 0] += a[:, 0] * _first(h0, b)
    for n in range(len(a)):
        _double(products[n], out[n])


CHUNK = 1024
"""Steps that are summed up before the next ones; a multiple of every width."""


@compiled(inline=True)
def _after(product, total, h):
    """The state that follows on h. On 0 follows the total, however large the product is: inf · 0 would be nan."""
    return total if h == 0 else product * h + total


@compiled
def _write(a, b, h, out):
    """The states of one chunk; returns the one after it."""
    n, one, none = width(b), b.dtype.type(1), b.dtype.type(0)
    begin, product, total = broadcast(h), broadcast(one), broadcast(none)
    for i in range(0, b.size, n):
        products, sums = scan_lanes(load(a, i), load(b, i))
        states = fma(products, begin, sums)
        store(out, i, states)
        begin = last(states)
        total = fma(last(products), total, last(sums))
        product = product * last(products)
    return _after(_number(product, b), _number(total, b), h)


@compiled
def _sum_up(a, b, ends):
    """The product of a chunk's factors, and the state that it comes to from 0."""
    n, one, none = width(b), b.dtype.type(1), b.dtype.type(0)
    product, total = broadcast(one), broadcast(none)
    for i in range(0, b.size, n):
        products, sums = scan_lanes(load(a, i), load(b, i))
        total = fma(last(products), total, last(sums))
        product = product * last(products)
    ends[0], ends[1] = _number(product, b), _number(total, b)


@compiled
def _number(vector, like):
    room = np.empty(width(like), like.dtype)
    store(room, 0, vector)
    return room[0]


@compiled
def _one_thread(a, b, h, out):
    """All whole chunks, one after the other; returns the last state."""
    for i in range(0, b.size, CHUNK):
        h = _write(a[i : i + CHUNK], b[i : i + CHUNK], h, out[i : i + CHUNK])
    return h


@compiled
def _sum_up_some(a, b, ends, start, stop):
    for i in range(start, stop):
        _sum_up(a[i * CHUNK : (i + 1) * CHUNK], b[i * CHUNK : (i + 1) * CHUNK], ends[i])


@compiled
def _write_some(a, b, begins, out, start, stop):
    for i in range(start, stop):
        part = slice(i * CHUNK, (i + 1) * CHUNK)
        _write(a[part], b[part], begins[i], out[part])


@compiled
def _begins(ends, h, begins):
    """The state that each chunk begins with; returns the one after the last."""
    for i in range(begins.size):
        begins[i] = h
        h = _after(ends[i, 0], ends[i, 1], h)
    return h


def _several_threads(a, b, h, out):
    """Two passes with a short chain between them; the same sums in the same order as by one thread."""
    count = b.size // CHUNK
    ends, begins = np.empty((count, 2), b.dtype), np.empty(count, b.dtype)
    split(lambda i, j: _sum_up_some(a, b, ends, i, j), count, 1)
    h = _begins(ends, h, begins)
    split(lambda i, j: _write_some(a, b, begins, out, i, j), count, 1)
    return h


@boundary(OPS["linear_recurrence"])
def linear_recurrence(a, b, h0=None, *, out=None):
    """h ← a[t] h + b[t] for all steps of each sequence, a register of steps at a time.

    Blelloch, "Prefix sums and their applications", CMU-CS-90-190, 1990, section 1.4, with the doubling of Hillis and
    Steele inside a vector. Its lanes hold steps that follow each other. They are summed up in as many rounds as the
    number of lanes has binary digits, which wait for nobody; only the state that a vector begins with waits for the one
    before, once for all lanes.

    Several threads take chunks of steps. A chunk's first state is known only when all before it are summed up, so they
    go through the numbers twice: first for the sums, then for the states. The bits are the same.

    With |a| <= 1 a state is off by a few units in the last place of Σ |products of factors · b|. The product of a
    vector's factors must be finite: where 16 factors together overflow and the state before is 0, the result is nan.

    Args:
        a, b: shape (N, T), float32 or float64; NumPy array or torch tensor on the CPU.
        h0: shape (N,), of the same dtype and kind; zeros where left out.
        out: shape (N, T), filled and returned where given; it must not share memory with the inputs.

    Returns:
        The states of all steps, (N, T), of the inputs' dtype and kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a tensor is not on the CPU, or ``out`` cannot be written without harm.
    """
    whole = b.shape[1] // CHUNK * CHUNK
    run = _one_thread if get_num_threads() == 1 else _several_threads
    for n, h in enumerate(_first(h0, b)):
        h = run(a[n, :whole], b[n, :whole], h, out[n, :whole])
        _steps(a[n, whole:], b[n, whole:], h, out[n, whole:])
