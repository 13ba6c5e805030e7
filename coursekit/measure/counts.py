"""FLOPs, parameters and bytes of a model, by layer: what it costs before any clock is read."""

import contextlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from coursekit.measure import flops as rules
from coursekit.measure.text import html_table, si, text_table


@dataclass
class LayerCount:
    """One layer: FLOPs (multiply-add = 2), own parameters, and bytes; `output` is the shape it last returned."""

    name: str
    type: str
    flops: int = 0
    params: int = 0
    param_bytes: int = 0
    bytes_moved: int = 0
    output: tuple[int, ...] = ()


@dataclass(frozen=True)
class Counts:
    """The rows of a model and their sums. `uncounted` names operations without a FLOP rule; their bytes are in.

    `bytes_moved` is compulsory traffic operation by operation: what is fused, or stays in a cache, moves less.
    """

    rows: tuple[LayerCount, ...]
    uncounted: frozenset[str] = field(default=frozenset())

    @property
    def flops(self) -> int:
        return sum(row.flops for row in self.rows)

    @property
    def params(self) -> int:
        return sum(row.params for row in self.rows)

    @property
    def param_bytes(self) -> int:
        return sum(row.param_bytes for row in self.rows)

    @property
    def bytes_moved(self) -> int:
        return sum(row.bytes_moved for row in self.rows)

    @property
    def intensity(self) -> float:
        """FLOP per byte moved, the horizontal axis of the roofline; 0 where nothing is moved."""
        return self.flops / self.bytes_moved if self.bytes_moved else 0.0

    def __getitem__(self, name: str) -> LayerCount:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no layer {name!r}; there are {', '.join(repr(row.name) for row in self.rows)}")

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        header = ["layer", "type", "output", "params", "FLOPs", "bytes moved", "FLOP/B"]
        total = LayerCount("total", "", self.flops, self.params, self.param_bytes, self.bytes_moved)
        return header, [_cells(row) for row in (*self.rows, total)]

    def _note(self) -> str:
        return f"not counted: {', '.join(sorted(self.uncounted))}" if self.uncounted else ""

    def __repr__(self) -> str:
        return "\n".join(filter(None, (text_table(*self._rows()), self._note())))

    def _repr_html_(self) -> str:
        return html_table(*self._rows(), caption=self._note())


def count(module_or_callable: nn.Module | Callable, *inputs) -> Counts:
    """Count what one call on `inputs` costs, at inference.

    A module runs in eval mode without gradients, and is left as it was. Where it or an input is on the device
    'meta', nothing is calculated and no memory is needed, so a model of any size can be counted.
    A function is counted as one row. Weights used twice are parameters once.
    The rules for FLOPs and bytes are those of `coursekit.measure.flops`. What the call raises is passed on.
    """
    if isinstance(module_or_callable, nn.Module):
        return _count_module(module_or_callable, inputs)
    if not callable(module_or_callable):
        raise TypeError(f"wanted a module or a function, got {type(module_or_callable).__name__}")
    row = LayerCount(getattr(module_or_callable, "__name__", type(module_or_callable).__name__), "function")
    counter = _Counter([row])
    with _decomposed(), torch.no_grad(), counter:
        row.output = _shape(module_or_callable(*inputs))
    return Counts((row,), frozenset(counter.uncounted))


def count_op(name: str, sizes: Mapping | None = None, *, dtype: str = "float32", **more):
    """FLOPs and bytes of an operation of `coursekit.kernels.ops`: count_op('matmul', M=64, K=784, N=128).

    sizes: symbol -> size, for symbols such as '...' that cannot be keywords; keywords are sizes or options.
    Returns the contract's Cost (flops, bytes, intensity). Raises ValueError for an unknown operation or size.
    """
    from coursekit.kernels.ops import OPS

    if name not in OPS:
        raise ValueError(f"name must be one of {', '.join(OPS)}, got {name!r}")
    op = OPS[name]
    options = {key: more.pop(key) for key in list(more) if key in op.options}
    try:
        return op.cost({**(sizes or {}), **more}, dtype, **options)
    except KeyError as missing:
        raise ValueError(f"{op} needs the size {missing.args[0]!r}") from missing


class _Counter(TorchDispatchMode):
    """Adds the cost of every operation to the layer that is running, the last of `stack`."""

    def __init__(self, stack: list[LayerCount]):
        super().__init__()
        self.stack, self.uncounted = stack, set()

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        out = op(*args, **kwargs)
        cost = rules.flops(op, args, kwargs, out)
        if cost is None:
            self.uncounted.add(str(op._overloadpacket))
        self.stack[-1].flops += cost or 0
        self.stack[-1].bytes_moved += rules.bytes_moved(op, args, kwargs, out)
        return out


def _count_module(module: nn.Module, inputs: tuple) -> Counts:
    rows = _layers(module)
    counter = _Counter([rows[module]])
    training = {part: part.training for part in module.modules()}
    hooks = []
    try:
        for part, row in rows.items():
            hooks.append(part.register_forward_pre_hook(_entering(row, counter.stack), prepend=True))
            hooks.append(part.register_forward_hook(_leaving(row, counter.stack)))
        module.eval()
        run = _prepared(module, inputs)
        with _decomposed(), torch.no_grad(), counter:
            run()
    finally:
        for hook in hooks:
            hook.remove()
        for part, was in training.items():
            part.training = was
    kept = (row for row in rows.values() if row.flops or row.params or row.bytes_moved)
    return Counts(tuple(kept), frozenset(counter.uncounted))


def _layers(module: nn.Module) -> dict[nn.Module, LayerCount]:
    rows, seen = {}, set()
    for name, part in module.named_modules():
        rows[part] = row = LayerCount(name or "(model)", type(part).__name__)
        for parameter in part.parameters(recurse=False):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                row.params += parameter.numel()
                row.param_bytes += parameter.numel() * parameter.element_size()
    return rows


def _entering(row: LayerCount, stack: list[LayerCount]):
    return lambda module, args: stack.append(row)


def _leaving(row: LayerCount, stack: list[LayerCount]):
    def hook(module, args, output):
        row.output = _shape(output)
        stack.pop()

    return hook


def _prepared(module: nn.Module, inputs: tuple) -> Callable[[], object]:
    """The call, on meta copies of weights and inputs where any of them is on meta."""
    state = [*module.parameters(), *module.buffers()]
    if not any(t.is_meta for t in (*state, *rules.tensors_in(inputs))):
        return lambda: module(*inputs)
    named = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    weights = {name: tensor.to("meta") for name, tensor in named.items()}
    inputs = tuple(map(_on_meta, inputs))
    return lambda: torch.func.functional_call(module, weights, inputs)


def _on_meta(value):
    if isinstance(value, torch.Tensor):
        return value.to("meta")
    return type(value)(map(_on_meta, value)) if type(value) in (list, tuple) else value


@contextlib.contextmanager
def _decomposed():
    """Let recurrent and attention layers run as the operations they consist of, not as one opaque call."""
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            switch = torch.backends.mkldnn.flags(enabled=False)
            switch.__enter__()
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            switch.__exit__(None, None, None)


def _shape(output) -> tuple[int, ...]:
    first = next(rules.tensors_in(output), None)
    return tuple(first.shape) if first is not None else ()


def _cells(row: LayerCount) -> list[str]:
    shape = "×".join(map(str, row.output))
    intensity = f"{row.flops / row.bytes_moved:.2g}" if row.bytes_moved else ""
    return [row.name, row.type, shape, f"{row.params:,}", si(row.flops), si(row.bytes_moved, "B"), intensity]
