"""Linear layers whose zeros are not stored and cost no time: compressed rows, blocks of eight, two in four."""

from operator import is_
from types import MappingProxyType

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from ...kernels import cpu, formats
from ...kernels.cpu.block_sparse_samples import multiply_samples
from ...kernels.cpu.simd_squares import turn, turned
from ...kernels.cpu.sparse_rows import check_pattern
from ...kernels.ops.sparse import TALL
from ..files import storable
from ..layers import CompressedLayer, as_dense, copied, replaced, weighted_layers
from ..report import LayerChange, Report, add_report, state_bytes

FORMS = MappingProxyType({"csr": 0.7, "block": 0.3, "two_four": 0.0})
"""Each form, and from what share of zeros on `to_sparse` converts a layer unless told otherwise.

The share is of what the form leaves out: single weights, or whole blocks for "block". From there on such a layer takes
less time than torch's dense one, for 64 inputs or more at a time and on a CPU with AVX2; where exactly depends on the
machine, the layer and the batch. Of a layer with ten outputs compressed rows never do.
"""

_BUFFERS = {
    "csr": ("values", "columns", "starts"),
    "block": ("values", "columns", "starts"),
    "two_four": ("values", "positions"),
}
_EIGHT = 8


@storable
class SparseLinear(CompressedLayer):
    """x · weightᵀ + bias of which only the weights that are not zero are stored, as the course's kernels take them.

    Attributes
    ----------
    form : str
        "csr": compressed rows (`kernels.cpu.csr_matmul`); "block": blocks of eight outputs by one input
        (`kernels.cpu.block_sparse_samples`, the product of `block_sparse_matmul` for x by rows); "two_four": at most
        two in each four inputs (`kernels.cpu.two_four_matmul`).
    in_features, out_features : int
    values : Tensor
        What is stored, (Z,), (Z, 8) or (R, K/2); float32 or float64.
    columns, starts : Tensor, int32
        Of "csr" and "block": where each stands. `kernels.formats` describes them.
    positions : Tensor, uint8
        Of "two_four".
    bias : Tensor or None
        Shape (out_features,).

    All are buffers: the layer computes and is not trained. A gradient with respect to x is computed, by the dense
    weight. Outputs and inputs that do not fill a block are stored as zeros, which `dense` takes off again.
    """

    def __init__(self, layer: nn.Linear, form: str = "csr"):
        """``layer`` in ``form``; ValueError where its zeros are not those of "two_four"."""
        super().__init__()
        _check_form(form)
        if not isinstance(layer, nn.Linear):
            raise TypeError(f"layer must be a torch.nn.Linear; got {type(layer).__name__}")
        self.form, self.in_features, self.out_features = form, layer.in_features, layer.out_features
        weight = layer.weight.detach()
        for name, array in zip(_BUFFERS[form], _stored(weight.cpu().numpy(), form), strict=True):
            self.register_buffer(name, torch.from_numpy(array))
        self._views: tuple[tuple, list[np.ndarray]] = ((), [])
        self.register_buffer("bias", None if layer.bias is None else layer.bias.detach().clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: shape (..., in_features), of the dtype of the values, on the CPU. Returns (..., out_features)."""
        views = self._arrays()
        if x.shape[-1:] != (self.in_features,) or x.dtype != self._buffers["values"].dtype or not x.is_cpu:
            self._refuse(x)
        if x.requires_grad:
            if torch.is_grad_enabled():
                return functional.linear(x, *self._dense_weight())
            x = x.detach()
        rows = x if x.dim() == 2 else x.reshape(-1, self.in_features)
        out = self._by_samples(rows, views) if self.form == "block" else self._by_inputs(rows, views)
        return out if x.dim() == 2 else out.reshape(*x.shape[:-1], self.out_features)

    def _arrays(self) -> list[np.ndarray]:
        """What the kernels read: the buffers' memory, and the bias last. Made anew where a buffer was replaced."""
        of, views = self._views
        now = tuple(self._buffers.values())
        if len(of) == len(now) and all(map(is_, of, now)):
            return views
        values = self.values
        if not values.is_cpu or values.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"a sparse layer computes on the CPU in float32 or float64; its values are {values.dtype} on "
                f"{values.device}: .cpu() and .float() bring it back"
            )
        stored = [buffer.numpy() for buffer in now if buffer is not None]
        if self.bias is None:
            stored.append(np.zeros(self.out_features, stored[0].dtype))
        self._views = now, stored
        return stored

    def _by_samples(self, x: torch.Tensor, views: list[np.ndarray]) -> torch.Tensor:
        x = x.numpy() if x.is_contiguous() else x.contiguous().numpy()
        out = np.empty((len(x), self.out_features), x.dtype)
        *stored, bias = views
        multiply_samples(*stored, bias, x, out)
        return torch.from_numpy(out)

    def _by_inputs(self, x: torch.Tensor, views: list[np.ndarray]) -> torch.Tensor:
        """By a kernel that wants a row for each input, and gives one for each output."""
        kernel = cpu.csr_matmul if self.form == "csr" else cpu.two_four_matmul
        *stored, bias = views
        out = turned(kernel(*stored, self._turned(x.contiguous().numpy())))
        out += bias
        return torch.from_numpy(out)

    def _turned(self, x: np.ndarray) -> np.ndarray:
        """x with a row for each input, and for "two_four" zeros for those that fill up the last eight."""
        more = -self.in_features % _EIGHT if self.form == "two_four" else 0
        columns = np.empty((self.in_features + more, len(x)), x.dtype)
        columns[self.in_features :] = 0
        turn(x, columns[: self.in_features])
        return columns

    def _refuse(self, x: torch.Tensor):
        if x.shape[-1:] != (self.in_features,):
            raise ValueError(
                f"x must have shape (..., {self.in_features}), the layer's inputs last; got {tuple(x.shape)}"
            )
        raise TypeError(
            f"x must be {self.values.dtype} on the CPU, as the layer is; got {x.dtype} on {x.device}"
        )

    def __getstate__(self) -> dict:
        """Without the views, which are made again."""
        return {**self.__dict__, "_views": ((), [])}

    def _dense_weight(self) -> tuple[torch.Tensor, torch.Tensor | None]:
        stored = [getattr(self, name).cpu().numpy() for name in _BUFFERS[self.form]]
        weight = _unstored(stored, self.form, self.in_features)[: self.out_features, : self.in_features]
        return torch.from_numpy(np.ascontiguousarray(weight)), self.bias

    def dense(self) -> nn.Linear:
        weight, bias = self._dense_weight()
        layer = nn.Linear(self.in_features, self.out_features, bias is not None, dtype=weight.dtype)
        with torch.no_grad():
            layer.weight.copy_(weight)
            if bias is not None:
                layer.bias.copy_(bias)
        return layer.train(self.training)

    def like(self, layer: nn.Linear) -> "SparseLinear":
        return SparseLinear(layer, self.form)

    @property
    def kept(self) -> int:
        """Weights that are stored, zeros in blocks and in fours among them."""
        return self.values.numel()

    def extra_repr(self) -> str:
        weights = self.in_features * self.out_features
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}, "
            f"form={self.form!r}, stored={self.kept} of {weights}"
        )

    def _load_from_state_dict(self, state, prefix, metadata, strict, missing, unexpected, errors):
        """Take as many values as the state has: how many there are depends on the zeros."""
        found = {name: state.get(prefix + name) for name in _BUFFERS[self.form]}
        wrong = self._wrong_with(found) if all(map(torch.is_tensor, found.values())) else ""
        if wrong:
            errors.append(f"{prefix or 'the layer'}: {wrong}")
            return
        for name, tensor in found.items():
            if torch.is_tensor(tensor) and tensor.shape != getattr(self, name).shape:
                setattr(self, name, getattr(self, name).new_empty(tensor.shape))
        super()._load_from_state_dict(state, prefix, metadata, strict, missing, unexpected, errors)

    def _wrong_with(self, found: dict[str, torch.Tensor]) -> str:
        """Why the tensors are not those of such a layer, or nothing."""
        for name, tensor in found.items():
            own = getattr(self, name)
            free = self.form != "two_four" and name != "starts"  # the number of values
            if tensor.ndim != own.ndim or tensor.shape[free:] != own.shape[free:]:
                wanted = ", ".join(["Z"] * free + [str(n) for n in own.shape[free:]])
                return f"{name} must have shape ({wanted}); got {tuple(tensor.shape)}"
            if tensor.is_floating_point() != own.is_floating_point():
                return f"{name} must be {own.dtype}; got {tensor.dtype}"
        if self.form == "two_four":
            return ""
        if len(found["values"]) != len(found["columns"]):
            return f"values and columns differ in length: {len(found['values'])} and {len(found['columns'])}"
        try:
            pattern = [found[name].detach().cpu().numpy() for name in ("columns", "starts")]
            check_pattern(self.form, *pattern, self.in_features)
        except ValueError as error:
            return str(error)
        return ""


def to_sparse(
    model: nn.Module, form: str = "csr", *, layers=None, threshold: float | None = None
) -> nn.Module:
    """A copy of a model in which linear layers are `SparseLinear`: their zeros are not stored and cost no time.

    Nothing is rounded and nothing more becomes zero: prune first. Convolutions stay as they are, and the report
    says so: to unfold their input for a product takes longer than the zeros save.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    form : str
        "csr" for zeros anywhere, "block" for zeros in blocks of eight outputs by one input (rows 8r to 8r + 7 of
        the weight, one column), "two_four" for at least two zeros in each four neighbours of a row.
    layers : iterable of str or None
        Convert these linear layers, whatever their zeros. None: all that reach the threshold.
    threshold : float or None
        The least share, from 0 to 1, of weights that the form leaves out ("block": of blocks); layers with less
        are left, and the report says so. None: 0.7 for "csr", 0.3 for "block", 0 for "two_four".

    Returns
    -------
    nn.Module
        With a report. The converted layers compute on the CPU and are not trained.

    Raises
    ------
    TypeError
        If the model is no module.
    ValueError
        If an argument is wrong, a named layer is unknown or a convolution, a layer's zeros do not fit "two_four", no
        layer reaches the threshold, or weights hold NaN; the message names the layer.
    """
    _check_form(form)
    threshold = FORMS[form] if threshold is None else threshold
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be a share from 0 to 1; got {threshold}")
    new = copied(model)
    chosen = _chosen(new, layers)
    changes, best = [], 0.0
    for name, layer in weighted_layers(new).items():
        share = _share_left_out(as_dense(layer), form) if isinstance(as_dense(layer), nn.Linear) else 0.0
        best = max(best, share)
        after, note = _converted(name, layer, form, share, threshold, chosen)
        changes.append(_change(name, layer, after, note))
        if after is not layer:
            new = replaced(new, name, after)
    if not any(change.kind == "SparseLinear" for change in changes):
        raise ValueError(
            f"no linear layer leaves out {threshold:.0%} of its {_UNIT[form]}s, the most is {best:.1%}; prune the "
            "model first, in the pattern of the form, or lower the threshold"
        )
    return add_report(new, Report("to_sparse", tuple(changes), f"form {form}"), before=model)


_UNIT = {"csr": "weight", "block": "block", "two_four": "weight"}


def _check_form(form: str) -> None:
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(map(repr, FORMS))}; got {form!r}")


def _chosen(model: nn.Module, layers) -> set[str] | None:
    """The names that were asked for. ValueError for one that is not linear."""
    if layers is None:
        return None
    found = weighted_layers(model, layers)
    for name, layer in found.items():
        if not isinstance(as_dense(layer), nn.Linear):
            raise ValueError(f"{name} is {type(layer).__name__}; only linear layers become sparse")
    return set(found)


def _converted(name, layer, form, share, threshold, chosen) -> tuple[nn.Module, str]:
    """What takes the layer's place, itself where it stays, and why."""
    dense = as_dense(layer)
    if not isinstance(dense, nn.Linear):
        return layer, "left: unfolding its input takes longer than the zeros save"
    if chosen is not None and name not in chosen:
        return layer, "left: not asked for"
    if chosen is None and share < threshold:
        return layer, f"left: {share:.0%} of its {_UNIT[form]}s are zero, wanted {threshold:.0%}"
    try:
        return SparseLinear(dense, form), f"{form}, {share:.0%} of its {_UNIT[form]}s left out"
    except ValueError as error:
        raise ValueError(f"layer {name!r}: {error}") from None


def _change(name: str, before: nn.Module, after: nn.Module, note: str) -> LayerChange:
    weight = as_dense(after).weight
    sizes = weight.numel(), int(torch.count_nonzero(weight)), state_bytes(before), state_bytes(after)
    return LayerChange(name, type(after).__name__, *sizes, note)


def _share_left_out(layer: nn.Linear, form: str) -> float:
    """The share of weights that are zero, or of blocks of zeros."""
    weight = layer.weight.detach().cpu().numpy()
    if form == "block":
        weight = _filled_up(weight, TALL, 1).reshape(-1, TALL, weight.shape[1]).any(1)
    return 1 - np.count_nonzero(weight) / weight.size if weight.size else 0.0


def _filled_up(weight: np.ndarray, tall: int, wide: int) -> np.ndarray:
    """With zeros below and on the right, up to multiples of ``tall`` and ``wide``."""
    return np.pad(weight, ((0, -len(weight) % tall), (0, -weight.shape[1] % wide)))


def _stored(weight: np.ndarray, form: str) -> tuple[np.ndarray, ...]:
    if form == "csr":
        return formats.to_csr(weight)
    if form == "block":
        return formats.to_blocks(_filled_up(weight, TALL, 1))
    fours = _filled_up(weight, 1, 4).reshape(len(weight), -1, 4)
    most = (fours != 0).sum(2).max(initial=0)
    if most > 2:
        raise ValueError(
            f"its zeros are not 2:4, some four neighbours of a row have {most} weights that are not zero; "
            "prune it with two of four, or name the layers to convert by layers="
        )
    return formats.to_two_four(_filled_up(weight, 1, _EIGHT))


def _unstored(stored: list[np.ndarray], form: str, width: int) -> np.ndarray:
    if form == "csr":
        return formats.from_csr(*stored, width)
    return formats.from_blocks(*stored, width) if form == "block" else formats.from_two_four(*stored)
