"""What kernels for a GPU ask of its memories, counted without one: :func:`trace`."""

from coursekit.measure.gpu.count import Traffic
from coursekit.measure.gpu.races import Race
from coursekit.measure.gpu.tracing import Request, Trace, trace

__all__ = ["Race", "Request", "Trace", "Traffic", "trace"]
