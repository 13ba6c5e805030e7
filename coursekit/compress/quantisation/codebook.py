"""Layers whose weight is places in a book of a few numbers, found by k-means: a grid that is not uniform.

Han, Mao and Dally, "Deep compression", ICLR 2016, section 3: the book begins with evenly spaced numbers, which
keeps the few large weights, and can be trained on.
"""

import torch
from torch import nn

from coursekit.kernels import cpu

from ..files import storable
from ..layers import CompressedLayer
from .affine import pack_bits, unpack_bits
from .shapes import apply, kept, layer_of, settings_of

MOST_STEPS = 300


def kmeans(x: torch.Tensor, centres: int, *, steps: int = MOST_STEPS) -> torch.Tensor:
    """Centres that are the means of their numbers: Lloyd's algorithm, from evenly spaced ones between the ends of x.

    Parameters
    ----------
    x : Tensor, float32, one-dimensional, one number or more
    centres : int
        How many, at least 1.
    steps : int
        Stop after so many even if numbers still change their centre.

    Returns
    -------
    Tensor, float32, (centres,), ascending
    """
    if len(x) == 0 or centres < 1:
        raise ValueError(f"k-means needs numbers and centres; got {len(x)} and {centres}")
    book = torch.linspace(float(x.min()), float(x.max()), centres)
    for _ in range(steps):
        _, moved = cpu.kmeans_step(x, book)
        if torch.equal(moved, book):
            break
        book = moved
    return book


@storable
class Codebook(CompressedLayer):
    """A linear layer or a convolution whose weight is places in a book of 2^bits numbers of its own.

    The book is a parameter: its gradient is the sum over the weights that share a number, so it can be trained. A
    number of the book that is exactly 0 stays there, for weights that were pruned.

    Attributes
    ----------
    packed : Tensor, uint8
        The places, `bits` each, without gaps.
    book : Parameter, float32, (2^bits,)
    bias : Parameter, float32, or None
    """

    def __init__(self, layer: nn.Linear | nn.Conv2d, bits: int = 4):
        super().__init__()
        if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= 8:
            raise ValueError(f"bits must be a whole number from 1 to 8; got {bits!r}")
        self.settings, self.bits = settings_of(layer), bits
        numbers = layer.weight.detach().float().reshape(-1).contiguous()
        book = _book(numbers, 2**bits)
        places = cpu.kmeans_step(numbers, book)[0]
        # A border belongs to the cell above, and the nearest of tiny numbers may be the book's zero.
        places[numbers == 0] = int(book.abs().argmin())
        self.register_buffer("packed", pack_bits(places, bits))
        self.book = nn.Parameter(book)
        self.bias = None if layer.bias is None else nn.Parameter(kept(layer.bias))

    def weight(self) -> torch.Tensor:
        """The weight in float32, in its shape; gradients reach the book."""
        shape = self.settings["shape"]
        places = unpack_bits(self.packed, self.bits, torch.Size(shape).numel()).long().to(self.book.device)
        return (self.book * (self.book != 0))[places].reshape(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return apply(self.settings, x, self.weight(), self.bias)

    def dense(self) -> nn.Linear | nn.Conv2d:
        return layer_of(self.settings, self.weight().detach(), self.bias)

    def like(self, layer: nn.Linear | nn.Conv2d) -> "Codebook":
        return Codebook(layer, self.bits)

    def extra_repr(self) -> str:
        return f"{'x'.join(map(str, self.settings['shape']))}, a book of {len(self.book)}"


def _book(numbers: torch.Tensor, size: int) -> torch.Tensor:
    """The centres; one of them is exactly 0 where numbers are."""
    if not numbers.any():
        return torch.zeros(size)
    if numbers.all():
        return kmeans(numbers, size)
    others = kmeans(numbers[numbers != 0], size - 1)
    return torch.cat([others, torch.zeros(1)]).sort().values
