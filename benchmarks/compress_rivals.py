"""What others make of the same model: ONNX Runtime's and torchao's int8, as functions of a batch, for the tables.

Both get the same calibration data as the course's own quantisation, and one thread unless told otherwise. Where a
package is missing (``pip install "coursekit[compress]"``), its functions raise ImportError.
"""

import contextlib
import copy
import io
import logging
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

Rival = Callable[[torch.Tensor], torch.Tensor]


def onnx_file(model: nn.Module, example: torch.Tensor, path: Path) -> Path:
    """Write a model for any batch size; returns the path."""
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model.eval(),
                (example,),
                path,
                input_names=["x"],
                output_names=["logits"],
                dynamic_shapes=({0: torch.export.Dim("n")},),
                dynamo=True,
                external_data=False,
            )
    finally:
        quiet.setLevel(level)
    return path


def _session(path: Path, threads: int) -> Rival:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    run = session.run

    def call(x: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(run(None, {"x": x.numpy()})[0])

    call.bytes_on_disk = path.stat().st_size
    return call


class _Reader:
    """Calibration data as ONNX Runtime wants them, one batch after the other."""

    def __init__(self, data: torch.Tensor, batch: int = 64):
        self.batches = iter(data.split(batch))

    def get_next(self):
        batch = next(self.batches, None)
        return None if batch is None else {"x": batch.numpy()}


def _cleared(path: Path) -> Path:
    """Without the shapes that the exporter noted, which quantisation would find to contradict its own."""
    import onnx

    written = onnx.load(path)
    del written.graph.value_info[:]
    onnx.save(written, path)
    return path


def onnx_float(model: nn.Module, data: torch.Tensor, *, threads: int = 1) -> Rival:
    """The model in float32 by ONNX Runtime."""
    with tempfile.TemporaryDirectory() as folder:
        return _session(onnx_file(model, data[:2], Path(folder) / "float.onnx"), threads)


def onnx_static(model: nn.Module, data: torch.Tensor, *, form: str = "QDQ", threads: int = 1) -> Rival:
    """Static quantisation by ONNX Runtime: int8 weights for each channel, int8 activations, min-max calibration.

    ``form`` is "QDQ", pairs of operators that the session fuses, or "QOperator", operators of integers.
    ``call.bytes_on_disk`` is the size of the file.
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet():
        folder = Path(folder)
        source = onnx_file(model, data[:2], folder / "float.onnx")
        quant_pre_process(_cleared(source), folder / "ready.onnx", skip_symbolic_shape=True)
        quantize_static(
            folder / "ready.onnx",
            folder / "int8.onnx",
            _Reader(data),
            quant_format=QuantFormat[form],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        return _session(folder / "int8.onnx", threads)


def onnx_dynamic(model: nn.Module, data: torch.Tensor, *, threads: int = 1) -> Rival:
    """Dynamic quantisation by ONNX Runtime: int8 weights, activations quantised as they come; for linear layers."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder, _quiet():
        folder = Path(folder)
        source = _cleared(onnx_file(model, data[:2], folder / "float.onnx"))
        quantize_dynamic(source, folder / "int8.onnx", weight_type=QuantType.QInt8, per_channel=True)
        return _session(folder / "int8.onnx", threads)


def torchao_int8(model: nn.Module, data: torch.Tensor, *, form: str = "dynamic") -> Rival:
    """torchao's int8 of the linear layers: "dynamic" activations, or int8 "weights" alone; convolutions stay float.

    ``call.bytes_on_disk`` is what torch.save writes for its state.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchao.quantization import (
            Int8DynamicActivationInt8WeightConfig,
            Int8WeightOnlyConfig,
            quantize_,
        )

        configs = {"dynamic": Int8DynamicActivationInt8WeightConfig, "weights": Int8WeightOnlyConfig}
        quantised = copy.deepcopy(model).eval()
        quantize_(quantised, configs[form]())
    call = torch.inference_mode()(lambda x: quantised(x))
    buffer = io.BytesIO()
    torch.save(quantised.state_dict(), buffer)
    call.bytes_on_disk = buffer.getbuffer().nbytes
    return call


@contextlib.contextmanager
def _quiet():
    """Without the advice that quantisation prints and logs."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


RIVALS: dict[str, Callable[..., Rival]] = {
    "ONNX Runtime, float32": onnx_float,
    "ONNX Runtime, int8 (QDQ)": onnx_static,
    "ONNX Runtime, int8 (QOperator)": lambda model, data, **how: onnx_static(
        model, data, form="QOperator", **how
    ),
    "ONNX Runtime, int8 dynamic": onnx_dynamic,
    "torchao, int8 dynamic": lambda model, data, threads=1: torchao_int8(model, data),
    "torchao, int8 weights": lambda model, data, threads=1: torchao_int8(model, data, form="weights"),
}
"""Name -> function of (model, calibration data, threads=...) that returns a function of a batch.

torch's number of threads is the process's own: set it before torchao's functions are timed.
"""
