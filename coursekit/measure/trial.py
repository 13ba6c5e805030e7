"""Everything that the ledger says of a torch module, measured in one go."""

import io

import torch
from torch import nn

from coursekit.measure.clock import latency
from coursekit.measure.counts import count
from coursekit.measure.scores import quality

BATCH = 256


def try_out(model: nn.Module, x: torch.Tensor, y, *, calls: int = 300, budget_s: float = 1.0) -> dict:
    """The keyword arguments of `Ledger.add` for `model`: quality on x and y, sizes, latency of one example.

    x: shape (n, ...); y: classes, shape (n,). The training flags are left as they were.
    FLOPs are those of one example, or None where the model cannot be counted.
    """
    training = {part: part.training for part in model.modules()}
    model.eval()
    try:
        with torch.inference_mode():
            predicted = torch.cat([model(batch).argmax(1) for batch in x.split(BATCH)])
            one = x[:1].clone()
            times = latency(lambda: model(one), calls=calls, budget_s=budget_s)
        return {
            "quality": quality(y, predicted),
            "params": sum(parameter.numel() for parameter in model.parameters()),
            "bytes_on_disk": saved_bytes(model),
            "p50_s": times.p50,
            "p99_s": times.p99,
            "flops": _flops(model, x[:1]),
        }
    finally:
        for part, was in training.items():
            part.training = was


def saved_bytes(model: nn.Module) -> int:
    """Bytes that torch.save writes for the module's state."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.getbuffer().nbytes


def _flops(model: nn.Module, x: torch.Tensor) -> int | None:
    try:
        return count(model, x).flops
    except Exception:  # a compiled or quantised model may refuse to run operation by operation
        return None
