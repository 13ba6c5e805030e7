"""The contract itself: signatures, costs, light imports, and room for operations of other kinds."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

from coursekit.kernels import cpu, cuda, reference
from coursekit.kernels.boundary import Boundary
from coursekit.kernels.contract import Array, Case, Operation, Option, Tolerance
from coursekit.kernels.cpu.arrays import boundary as cpu_boundary
from coursekit.kernels.ops import OPS

from .agreement import as_tuple

BACKENDS = {"reference": reference, "cpu": cpu, "cuda": cuda}
IMPLEMENTED = [
    (backend, name)
    for name in OPS
    for backend, module in BACKENDS.items()
    if backend != "cuda" or module.rungs(name)  # an operation may have no CUDA kernel yet
]


@pytest.mark.parametrize(("backend", "name"), IMPLEMENTED)
def test_signatures(backend, name):
    backend = BACKENDS[backend]
    versions = backend.rungs(name)
    assert versions[name] is getattr(backend, name)
    for function in versions.values():
        assert inspect.signature(function) == OPS[name].signature
        assert function.__doc__
    assert "Raises:" in versions[name].__doc__


@pytest.mark.parametrize("op", OPS.values(), ids=str)
def test_cases(op):
    assert {c.use for c in op.cases} == {"benchmark", "test", "tiny"}
    names = [c.name for c in op.cases]
    assert len(set(names)) == len(names)
    for case in op.cases_for("tiny"):
        arrays = op.draw(np.random.default_rng(0), case.sizes, "float64", **case.options)
        sizes = op.sizes(case.sizes, case.options)
        assert [a.shape for a in arrays] == [spec.dims(sizes) for spec in op.inputs]
        results = as_tuple(op.reference(*arrays, **case.options))
        assert [np.shape(r) for r in results] == [spec.dims(sizes) for spec in op.outputs]


@pytest.mark.parametrize("module", ["coursekit.kernels", "coursekit.kernels.ops"])
def test_light_imports(module):
    code = f"import sys, {module}; print({{'torch', 'numba', 'scipy'}} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_the_cpu_backend_does_not_load_torch():
    code = "import sys; from coursekit.kernels import cpu; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


class Counted:
    """A number that counts the arithmetic done with it."""

    total = 0

    def step(self, other=None):
        Counted.total += 1
        return Counted()

    __add__ = __sub__ = __mul__ = __truediv__ = __radd__ = __rmul__ = step
    larger = exp = erf = tanh = step


def count(function, *args):
    Counted.total = 0
    function(*args)
    return Counted.total


def matmul_by_hand(M, K, N):
    for _ in range(M * N):
        total = Counted()
        for _ in range(K):
            total = total + Counted() * Counted()


def softmax_by_hand(rows, N):
    for _ in range(rows):
        row, top, total = [Counted() for _ in range(N)], Counted(), Counted()
        for x in row:
            top = top.larger(x)
        powers = [(x - top).exp() for x in row]
        for power in powers:
            total = total + power
        for power in powers:
            power / total


def gelu_by_hand(n, form):
    for _ in range(n):
        v = Counted() + Counted()
        if form == "tanh":
            0.5 * v * (1 + (0.8 * (v + 0.04 * v * v * v)).tanh())
        else:
            0.5 * v * (1 + (0.7 * v).erf())


def test_costs_are_what_counting_gives():
    matmul, softmax, gelu = OPS["matmul"], OPS["softmax"], OPS["bias_gelu"]
    assert matmul.cost({"M": 3, "K": 5, "N": 7}).flops == count(matmul_by_hand, 3, 5, 7)
    assert softmax.cost({"...": (2, 3, 7)}).flops == count(softmax_by_hand, 6, 7)
    for form in ("none", "tanh"):
        flops = gelu.cost({"...": (2, 3), "N": 7}, approximate=form).flops
        assert flops == count(gelu_by_hand, 42, form)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", OPS.values(), ids=str)
def test_bytes_are_those_of_the_arrays(op, dtype):
    case = op.cases_for("test")[1]
    arrays = op.draw(np.random.default_rng(0), case.sizes, dtype, **case.options)
    results = zip(as_tuple(op.reference(*arrays, **case.options)), op.outputs, strict=True)
    outs = [np.asarray(r).astype(dtype if spec.dtype == "T" else spec.dtype) for r, spec in results]
    assert op.traffic or op.cost(case.sizes, dtype, **case.options).bytes == sum(
        a.nbytes for a in (*arrays, *outs)
    )


def test_costs_known_by_heart():
    cost = OPS["matmul"].cost({"M": 1024, "K": 1024, "N": 1024})
    assert (cost.flops, cost.bytes) == (2 * 2**30, 3 * 2**22)
    assert cost.intensity == pytest.approx(1024 / 6)


def best_window(x, w, bias=None, stride=1):
    """A strided correlation along rows, and where it is largest: two results, one an integer."""
    windows = np.lib.stride_tricks.sliding_window_view(np.float64(x), w.size, axis=1)[:, ::stride]
    out = windows @ np.float64(w) + (0 if bias is None else np.float64(bias)[:, None])
    return out, out.argmax(1)


WINDOW = Operation(
    name="window",
    formula="out[b, p] = Σᵣ x[b, p·stride + r] · w[r]; index[b] = argmax out[b]",
    inputs=(Array("x", ("B", "L")), Array("w", ("R",), "int8"), Array("bias", ("B",), optional=True)),
    outputs=(Array("out", ("B", "P")), Array("index", ("B",), "int64")),
    options={"stride": Option(1, lambda value, shapes: "" if value > 0 else "positive")},
    derive=lambda s, options: {"P": (s["L"] - s["R"]) // options["stride"] + 1},
    reference=best_window,
    count=lambda s, options: 2 * s["B"] * s["P"] * s["R"],
    tolerance={"float32": Tolerance(1e-5, 1e-5)},
    cases=(Case("small", "test", {"B": 2, "L": 9, "R": 3}, {"stride": 2}),),
)


@Boundary(*cpu_boundary.kinds)(WINDOW)
def window(x, w, bias=None, *, stride=1, out=None):
    out[0][...], out[1][...] = best_window(x, w, bias, stride)


def test_an_operation_of_another_kind_fits():
    (case,) = WINDOW.cases
    x, w, bias = WINDOW.draw(np.random.default_rng(0), case.sizes, **case.options)
    assert (x.dtype, w.dtype, bias.dtype) == (np.float32, np.int8, np.float32)
    assert inspect.signature(window) == WINDOW.signature
    assert str(WINDOW) == "window(x: (B, L), w: (R,), bias: (B,)) -> (B, P), (B,)"
    out, index = window(x, w, stride=2)
    assert (out.shape, out.dtype, index.shape, index.dtype) == ((2, 4), np.float32, (2,), np.int64)
    np.testing.assert_allclose(out, best_window(x, w, stride=2)[0], rtol=1e-5, atol=1e-4)
    outs = (np.empty((2, 9 - 3 + 1), np.float32), np.empty(2, np.int64))
    assert window(x, w, bias, out=outs) == outs
    cost = WINDOW.cost(case.sizes, stride=2)
    assert cost.flops == 2 * 2 * 4 * 3
    assert cost.bytes == 4 * (2 * 9) + 3 + 4 * 2 + 4 * (2 * 4) + 8 * 2


def test_an_operation_of_another_kind_is_checked():
    x, w = np.ones((2, 9), np.float32), np.ones(3, np.int8)
    with pytest.raises(TypeError, match="window: w must be int8; got float32"):
        window(x, np.ones(3, np.float32))
    with pytest.raises(ValueError, match="window: stride must be positive; got 0"):
        window(x, w, stride=0)
    with pytest.raises(ValueError, match=r"window: bias must have shape \(B,\) with B = 2 to match x"):
        window(x, w, np.ones(3, np.float32))
    with pytest.raises(TypeError, match=r"window: out must be a tuple \(out, index\)"):
        window(x, w, out=x)
    both = np.zeros((2, 7), np.float32)
    with pytest.raises(TypeError, match="window: index must be int64; got float32"):
        window(x, w, out=(both, both[:, 0]))
