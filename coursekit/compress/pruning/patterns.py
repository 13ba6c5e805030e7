"""Which weights go: masks with an exact number of zeros, single, N of M, or in blocks as the kernels take them.

A mask is a tensor of the weight's shape that is True where the weight stays. Weights that score equal go in the order
in which they are stored, so that a mask is the same everywhere. A score of minus infinity marks what is zero already:
it goes first.
"""

import re
from collections.abc import Mapping

import torch

from ...kernels.ops.sparse import TALL

Masks = dict[str, torch.Tensor]


def single(scores: Mapping[str, torch.Tensor], sparsity: float) -> Masks:
    """Masks with ``round(sparsity * n)`` zeros among all n weights together: those that score least.

    Parameters
    ----------
    scores : mapping of str to Tensor
        For each layer a tensor of any shape. One layer: layer by layer; several: global.
    sparsity : float
        The share that goes, from 0 to 1.
    """
    flat = torch.cat([score.flatten() for score in scores.values()])
    keep = torch.ones(len(flat), dtype=torch.bool)
    keep[flat.argsort(stable=True)[: round(sparsity * len(flat))]] = False
    return _split(keep, scores)


def n_of_m(scores: Mapping[str, torch.Tensor], n: int, m: int) -> Masks:
    """Masks that keep, of each m neighbours in a row of the weight, the n that score most.

    A row is what makes one output: all axes but the first, flattened. Raises ValueError, which names the layer, where
    its length is not a multiple of m.
    """
    return {name: _n_of_m(name, score, n, m) for name, score in scores.items()}


def _n_of_m(name: str, score: torch.Tensor, n: int, m: int) -> torch.Tensor:
    rows = score.flatten(1)
    if rows.shape[1] % m:
        raise ValueError(
            f"pattern {n}:{m} needs rows of a multiple of {m} weights; {name!r} has {rows.shape[1]}: "
            "leave it out with layers=[...]"
        )
    groups = rows.reshape(-1, m)
    keep = torch.ones_like(groups, dtype=torch.bool)
    keep.scatter_(1, groups.argsort(dim=1, stable=True)[:, : m - n], False)
    return keep.reshape(score.shape)


def blocks(scores: Mapping[str, torch.Tensor], sparsity: float) -> Masks:
    """Masks without the blocks of eight outputs by one input whose weights score least on average.

    Blocks go from the least on as long as the zeros come nearer to ``sparsity * n``. Where a layer's outputs are no
    multiple of eight, the last blocks of its columns are shorter; they count with the weights that they have.
    """
    values, sizes = zip(*(_of_blocks(score) for score in scores.values()), strict=True)
    means, heights = torch.cat([v.flatten() for v in values]), torch.cat([s.flatten() for s in sizes])
    order = means.argsort(stable=True)
    gone = heights[order].cumsum(0)
    wanted = sparsity * float(heights.sum())
    count = int((gone - heights[order] / 2 <= wanted).sum()) if wanted else 0
    keep = torch.ones(len(means), dtype=torch.bool)
    keep[order[:count]] = False
    parts = _split(keep, dict(zip(scores, values, strict=True)))
    return {
        name: part.repeat_interleave(TALL, 0)[: len(scores[name])].reshape(scores[name].shape)
        for name, part in parts.items()
    }


def _of_blocks(score: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean score and number of weights of each block, shapes (ceil(R/8), K)."""
    rows = score.flatten(1).double()
    short = -len(rows) % TALL
    gone = rows.new_full((short, rows.shape[1]), -torch.inf)
    tall = torch.cat([rows, gone]).reshape(-1, TALL, rows.shape[1])
    sizes = torch.full((len(tall), rows.shape[1]), TALL)
    if short:
        sizes[-1] = TALL - short
    means = tall.masked_fill(tall == -torch.inf, 0).sum(1) / sizes
    return means.masked_fill((tall == -torch.inf).all(1), -torch.inf), sizes


def read_pattern(pattern: str) -> tuple[str, int, int]:
    """A pattern's kind, "single", "block" or "n:m", with n and m (0 where there are none). Raises ValueError."""
    if pattern in ("single", "block"):
        return pattern, 0, 0
    found = re.fullmatch(r"(\d+):(\d+)", pattern) if isinstance(pattern, str) else None
    if not found or not 0 < int(found[1]) < int(found[2]):
        raise ValueError(f"pattern must be 'single', 'block', or 'n:m' such as '2:4'; got {pattern!r}")
    return "n:m", int(found[1]), int(found[2])


def _split(flat: torch.Tensor, like: Mapping[str, torch.Tensor]) -> Masks:
    parts = flat.split([tensor.numel() for tensor in like.values()])
    return {name: part.reshape(like[name].shape) for name, part in zip(like, parts, strict=True)}
