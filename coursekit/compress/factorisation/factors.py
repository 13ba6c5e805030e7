"""The factors of one layer at every rank: two or three thinner layers in its place.

Each class decomposes a layer's weight once, in float64 and group by group, and then answers for any rank: how many
weights the factors have, how large the error is, and the layers themselves. What padding, stride and dilation the layer
has goes to the factor that looks at the same axis; the bias goes to the last one.
"""

from abc import ABC, abstractmethod

import torch
from torch import nn

HOOI_SWEEPS = 3
GRID = (1.0, 0.75, 0.5, 0.375, 0.25, 0.125)
"""Shares of the largest rank that is smaller than the layer: those whose time is measured."""


def rank_for_energy(values: torch.Tensor, share: float) -> int:
    """The smallest rank that keeps a share of the energy, which is the sum of the squares.

    Parameters
    ----------
    values : Tensor, shape (..., full)
        Singular values, the largest first; of several matrices together where there are more axes.
    share : float
        In (0, 1].

    Returns
    -------
    int, from 1 to full

    Raises
    ------
    ValueError
        If share is not in (0, 1], or if there are no values.
    """
    if not 0 < share <= 1:
        raise ValueError(f"energy must lie in (0, 1]; got {share}")
    if values.numel() == 0:
        raise ValueError("there are no singular values; wanted at least one")
    energy = values.double().square().reshape(-1, values.shape[-1]).sum(0)
    discarded = energy.flip(0).cumsum(0).flip(0)  # of rank 0, 1, ...; the small ones are added first
    return max(1, int((discarded > (1 - share) * discarded[0]).sum()))


def tucker2(weight: torch.Tensor, ranks: tuple[int, int], sweeps: int = HOOI_SWEEPS):
    """Project a kernel on its leading output and input channels (Tucker-2).

    HOSVD for a start (De Lathauwer, De Moor and Vandewalle 2000), then sweeps of HOOI by the same authors. Kim et al.,
    *Compression of deep convolutional neural networks for fast and low power mobile applications* (ICLR 2016), is the
    use for convolutions.

    Parameters
    ----------
    weight : Tensor, shape (out, in, ...)
    ranks : pair of int
        Of the output and the input channels.
    sweeps : int
        Each makes the error smaller or leaves it.

    Returns
    -------
    outer : Tensor, shape (out, ranks[0]); orthonormal columns
    core : Tensor, shape (ranks[0], ranks[1], ...)
    inner : Tensor, shape (in, ranks[1]); orthonormal columns
    """
    outer, inner = _leading(weight, 0, ranks[0]), _leading(weight, 1, ranks[1])
    for _ in range(sweeps):
        outer = _leading(_project(weight, 1, inner), 0, ranks[0])
        inner = _leading(_project(weight, 0, outer), 1, ranks[1])
    return outer, _project(_project(weight, 0, outer), 1, inner), inner


def _unfold(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """The matrix with one axis as rows and all others as columns."""
    return weight.movedim(axis, 0).flatten(1)


def _leading(weight: torch.Tensor, axis: int, rank: int) -> torch.Tensor:
    """The left singular vectors of the largest singular values; more of them than columns need the full basis."""
    matrix = _unfold(weight, axis)
    return torch.linalg.svd(matrix, full_matrices=rank > matrix.shape[1])[0][:, :rank]


def _project(weight: torch.Tensor, axis: int, basis: torch.Tensor) -> torch.Tensor:
    return torch.tensordot(basis, weight, dims=([0], [axis])).movedim(0, axis)


class Factors(ABC):
    """A layer and its factors at every rank. `full` is the largest rank: an int, or a pair for Tucker-2."""

    parts = "rank"
    has_pair = False

    def __init__(self, layer: nn.Linear | nn.Conv2d) -> None:
        self.layer, self.weight = layer, layer.weight.detach().double()
        self.bias = None if layer.bias is None else layer.bias.detach().double()

    @abstractmethod
    def error(self, rank) -> float:
        """Norm of what is missing, as a share of the norm of the whole: 0 to 1."""

    @abstractmethod
    def for_energy(self, share: float):
        """The smallest rank found whose squared error is 1 - share at most."""

    @abstractmethod
    def weights(self, rank) -> int:
        """Numbers that the factors hold, biases left out."""

    @abstractmethod
    def build(self, rank) -> nn.Sequential:
        """The factors as layers, with the layer's dtype and device."""

    @abstractmethod
    def scaled(self, share: float):
        """A share of the largest rank, at least 1."""

    def is_smaller(self, rank) -> bool:
        """Whether the factors hold fewer weights than the layer."""
        return self.weights(rank) < self.weight.numel()

    def grid(self) -> list:
        """Ranks worth timing, the largest first."""
        steps = max(self.full) if self.has_pair else self.full
        inside = [self.scaled(k / steps) for k in range(1, steps + 1)]
        inside = [rank for rank in dict.fromkeys(inside) if self.is_smaller(rank)]
        picked = [inside[max(0, round(share * len(inside)) - 1)] for share in GRID] if inside else []
        return list(dict.fromkeys(picked))

    def _filled(self, module: nn.Module, weight: torch.Tensor, bias: torch.Tensor | None = None) -> nn.Module:
        module.weight.data = weight.reshape(module.weight.shape).to(self.layer.weight.dtype).contiguous()
        if bias is not None:
            module.bias.data = bias.to(self.layer.weight.dtype).clone()
        return module.to(self.layer.weight.device).requires_grad_(self.layer.weight.requires_grad)

    def _conv(self, ins: int, outs: int, kernel, weight, **settings) -> nn.Conv2d:
        """A convolution without bias; with `last`, with the bias of the layer."""
        bias = self.bias if settings.pop("last", False) else None
        mode = self.layer.padding_mode
        conv = nn.Conv2d(ins, outs, kernel, bias=bias is not None, padding_mode=mode, **settings)
        return self._filled(conv, weight, bias)


class MatrixFactors(Factors):
    """Factors by the singular value decomposition of a matrix for each group: the best there are at each rank.

    Eckart and Young, *The approximation of one matrix by another of lower rank* (Psychometrika 1, 1936).
    """

    def __init__(self, layer, responses: "Responses | None" = None) -> None:
        super().__init__(layer)
        if responses is None:
            self.left, self.values, self.right = torch.linalg.svd(self._matrices(), full_matrices=False)
            root = self.values.sqrt()
            self.left, self.right = self.left * root[:, None, :], root[:, :, None] * self.right
        else:
            self.left, self.values = responses.axes()
            self.right = self.left.mT @ self._matrices()
            self.mean = responses.mean()
        self.full = self.values.shape[-1]
        self.is_aware = responses is not None

    @abstractmethod
    def _matrices(self) -> torch.Tensor:
        """The weight as matrices, shape (groups, rows, columns)."""

    def error(self, rank: int) -> float:
        total = self.values.square().sum()
        return float((self.values[:, rank:].square().sum() / total).sqrt()) if total else 0.0

    def for_energy(self, share: float) -> int:
        return rank_for_energy(self.values, share)

    def scaled(self, share: float) -> int:
        return max(1, round(share * self.full))

    def weights(self, rank: int) -> int:
        groups, rows, columns = self._matrices().shape
        return groups * rank * (rows + columns)

    def build(self, rank: int) -> nn.Sequential:
        was = self.bias
        if self.is_aware:
            self.bias = self._bias_for(rank)
        layers = self._layers(rank, self.left[:, :, :rank], self.right[:, :rank])
        self.bias = was
        return layers

    def _bias_for(self, rank: int) -> torch.Tensor:
        """What leaves the mean response as it was: the mean of what the discarded axes said."""
        groups, rows, _ = self.left.shape
        bias = torch.zeros_like(self.mean) if self.bias is None else self.bias
        basis = self.left[:, :, :rank]
        centred = (bias - self.mean).reshape(groups, rows, 1)
        return (basis @ (basis.mT @ centred)).flatten() + self.mean

    @abstractmethod
    def _layers(self, rank: int, left: torch.Tensor, right: torch.Tensor) -> nn.Sequential: ...


class LinearFactors(MatrixFactors):
    """Linear(in, r) without bias, then Linear(r, out)."""

    def _matrices(self) -> torch.Tensor:
        return self.weight[None]

    def _layers(self, rank, left, right) -> nn.Sequential:
        outs, ins = self.weight.shape
        first = self._filled(nn.Linear(ins, rank, bias=False), right)
        second = nn.Linear(rank, outs, bias=self.bias is not None)
        return nn.Sequential(first, self._filled(second, left, self.bias))


class ChannelFactors(MatrixFactors):
    """A convolution of the same kernel to r channels (of each group), then a 1x1 one.

    Zhang, Zou, He and Sun, *Accelerating very deep convolutional networks for classification and detection* (2016).
    """

    def _matrices(self) -> torch.Tensor:
        return self.weight.reshape(self.layer.groups, -1, self.weight[0].numel())

    def _layers(self, rank, left, right) -> nn.Sequential:
        conv, groups = self.layer, self.layer.groups
        settings = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}
        middle = groups * rank
        first = self._conv(conv.in_channels, middle, conv.kernel_size, right, groups=groups, **settings)
        return nn.Sequential(first, self._conv(middle, conv.out_channels, 1, left, groups=groups, last=True))


class SpatialFactors(MatrixFactors):
    """A k x 1 convolution to r channels (of each group), then a 1 x k one.

    Jaderberg, Vedaldi and Zisserman, *Speeding up convolutional neural networks with low rank expansions* (BMVC 2014),
    scheme 2; the optimum by one SVD: Tai, Xiao, Zhang, Wang and E (ICLR 2016).
    """

    def _matrices(self) -> torch.Tensor:
        """Rows are (input channel, y), columns (output channel, x)."""
        groups = self.layer.groups
        grouped = self.weight.reshape(groups, -1, *self.weight.shape[1:])  # group, out, in, y, x
        return grouped.permute(0, 2, 3, 1, 4).flatten(3, 4).flatten(1, 2)

    def _layers(self, rank, left, right) -> nn.Sequential:
        conv, groups, middle = self.layer, self.layer.groups, self.layer.groups * rank
        down, across = ({"groups": groups, **_along(conv, axis)} for axis in (0, 1))
        height, width = conv.kernel_size
        second = right.reshape(groups, rank, -1, width).transpose(1, 2)  # group, out, r, x
        return nn.Sequential(
            self._conv(conv.in_channels, middle, (height, 1), left.mT, **down),
            self._conv(middle, conv.out_channels, (1, width), second, last=True, **across),
        )


class TuckerFactors(Factors):
    """1x1 to fewer channels, the same kernel between fewer channels, 1x1 to all of them; ranks are (out, in)."""

    parts, has_pair = "ranks", True

    def __init__(self, layer) -> None:
        super().__init__(layer)
        self.groups = self.weight.reshape(layer.groups, -1, *self.weight.shape[1:])
        self.full = tuple(self.groups.shape[1:3])
        self._at: dict[tuple[int, int], list] = {}

    def _parts(self, rank) -> list:
        if rank not in self._at:
            self._at[rank] = [tucker2(weight, rank) for weight in self.groups]
        return self._at[rank]

    def error(self, rank) -> float:
        """The bases are orthonormal, so the core has all the energy that is kept."""
        total = self.weight.square().sum()
        kept = sum(core.square().sum() for _, core, _ in self._parts(rank))
        return float((1 - kept / total).clamp(min=0).sqrt()) if total else 0.0

    def for_energy(self, share: float) -> tuple[int, int]:
        """Half of what may be lost for each of the two axes: their losses add up to the whole at most."""
        half = 1 - (1 - share) / 2
        spectra = [
            torch.stack([torch.linalg.svdvals(_unfold(weight, axis)) for weight in self.groups])
            for axis in (0, 1)
        ]
        return tuple(rank_for_energy(values, half) for values in spectra)

    def scaled(self, share: float) -> tuple[int, int]:
        return tuple(max(1, round(share * size)) for size in self.full)

    def weights(self, rank) -> int:
        (r_out, r_in), (outs, ins) = rank, self.full
        area = self.weight[0, 0].numel()
        return len(self.groups) * (outs * r_out + r_out * r_in * area + r_in * ins)

    def build(self, rank) -> nn.Sequential:
        conv, groups = self.layer, self.layer.groups
        outer, core, inner = (torch.stack(part) for part in zip(*self._parts(rank), strict=True))
        outs, ins = (groups * r for r in rank)
        settings = {"stride": conv.stride, "padding": conv.padding, "dilation": conv.dilation}
        return nn.Sequential(
            self._conv(conv.in_channels, ins, 1, inner.mT, groups=groups),
            self._conv(ins, outs, conv.kernel_size, core, groups=groups, **settings),
            self._conv(outs, conv.out_channels, 1, outer, groups=groups, last=True),
        )


class Responses:
    """The mean and the scatter of what a layer answers to data, summed up batch by batch in float64."""

    def __init__(self, groups: int) -> None:
        self.groups, self.count, self.total, self.products = groups, 0, 0.0, 0.0

    def add(self, rows: torch.Tensor) -> None:
        """rows: shape (n, channels)."""
        grouped = rows.double().reshape(len(rows), self.groups, -1)
        self.count += len(rows)
        self.total = self.total + grouped.sum(0)
        self.products = self.products + torch.einsum("ngi,ngj->gij", grouped, grouped)

    def mean(self) -> torch.Tensor:
        """Shape (channels,)."""
        return (self.total / self.count).flatten()

    def axes(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Principal axes as columns, and the root of the variance along each, the largest first, for each group."""
        mean = self.total / self.count
        scatter = self.products / self.count - mean[:, :, None] * mean[:, None, :]
        values, vectors = torch.linalg.eigh(scatter)
        return vectors.flip(-1), values.flip(-1).clamp(min=0).sqrt()


def _along(conv: nn.Conv2d, axis: int) -> dict:
    """Stride, padding and dilation of one axis alone."""
    padding = conv.padding if isinstance(conv.padding, str) else _only(conv.padding, axis, 0)
    return {
        "stride": _only(conv.stride, axis, 1),
        "padding": padding,
        "dilation": _only(conv.dilation, axis, 1),
    }


def _only(pair: tuple[int, int], axis: int, other: int) -> tuple[int, int]:
    return (pair[0], other) if axis == 0 else (other, pair[1])


METHODS = {"channel": ChannelFactors, "spatial": SpatialFactors, "tucker": TuckerFactors}
"""What becomes of a convolution, by name."""
