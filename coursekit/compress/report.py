"""What a technique did to a model, layer by layer, as a table."""

from dataclasses import dataclass

from torch import nn

from coursekit.measure.text import html_table, si, text_table

HEADER = ["layer", "kind", "weights", "not zero", "bytes before", "bytes after", "what was done"]


@dataclass(frozen=True)
class LayerChange:
    """One layer: its name in the model, what it became, and what that saved.

    Attributes
    ----------
    name, kind : str
        As in ``model.named_modules()`` before the change, and the class after it.
    weights, nonzero : int
        Numbers that the layer's weights hold after the change, without biases, and how many of them are not zero.
    bytes_before, bytes_after : int
        Of all tensors that the layer saves.
    note : str
        What was done, and a warning where there is one: "rank 16 of 128, relative error 0.12".
    """

    name: str
    kind: str
    weights: int
    nonzero: int
    bytes_before: int
    bytes_after: int
    note: str = ""

    def cells(self) -> list[str]:
        """The layer's line of the table."""
        bytes_ = [si(self.bytes_before, "B"), si(self.bytes_after, "B")]
        return [self.name, self.kind, f"{self.weights:,}", f"{self.nonzero:,}", *bytes_, self.note]


@dataclass(frozen=True)
class Report:
    """One technique's changes; prints as text and shows as HTML in a notebook.

    Attributes
    ----------
    technique : str
        The function that was called: "prune".
    layers : tuple of LayerChange
        In the order of the model.
    note : str
        What concerns the whole model: "global magnitude, 90 % of 18,320 weights".
    """

    technique: str
    layers: tuple[LayerChange, ...]
    note: str = ""

    @property
    def weights(self) -> int:
        """Weights of all layers of the table."""
        return sum(layer.weights for layer in self.layers)

    @property
    def nonzero(self) -> int:
        """Those that are not zero."""
        return sum(layer.nonzero for layer in self.layers)

    @property
    def sparsity(self) -> float:
        """The share of weights that are zero, from 0 to 1; 0 where there are none."""
        return 1 - self.nonzero / self.weights if self.weights else 0.0

    @property
    def bytes_before(self) -> int:
        """Bytes that the layers of the table saved before."""
        return sum(layer.bytes_before for layer in self.layers)

    @property
    def bytes_after(self) -> int:
        """Bytes that they save now."""
        return sum(layer.bytes_after for layer in self.layers)

    def _lines(self) -> list[list[str]]:
        total = LayerChange(
            "all", "", self.weights, self.nonzero, self.bytes_before, self.bytes_after, self.note
        )
        return [*(layer.cells() for layer in self.layers), total.cells()]

    def __str__(self) -> str:
        return f"{self.technique}\n{text_table(HEADER, self._lines())}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(HEADER, self._lines(), caption=self.technique)


def state_bytes(module: nn.Module) -> int:
    """Bytes of the tensors that a module saves, without what a file adds to them."""
    return sum(tensor.numel() * tensor.element_size() for tensor in module.state_dict().values())


def reports(model: nn.Module) -> tuple[Report, ...]:
    """What has been done to a model, the oldest first; it is saved, loaded and copied with the model."""
    return getattr(model, "compression", ())


def report(model: nn.Module) -> Report:
    """What was done to a model last. ValueError where nothing was."""
    done = reports(model)
    if not done:
        raise ValueError(
            "nothing has been done to this model; prune, quantize, distill or factorize it first"
        )
    return done[-1]


def add_report(model: nn.Module, new: Report, *, before: nn.Module | None = None) -> nn.Module:
    """Write down what was done to `model`, after what had been done to `before`; return `model`."""
    model.compression = (*reports(model if before is None else before), new)
    return model
