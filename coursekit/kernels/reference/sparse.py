"""Products with sparse matrices, by torch."""

import warnings

import torch

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


def _check_pattern(name, columns, starts, K):
    """ValueError unless each row's numbers are some of those stored, and each one's column is one of K."""
    if starts[0] != 0 or starts[-1] != len(columns):
        raise ValueError(f"{name}: starts must go from 0 to {len(columns)}, the size of columns")
    if (starts.diff() < 0).any():
        raise ValueError(f"{name}: starts must nowhere fall")
    if ((columns < 0) | (columns >= K)).any():
        raise ValueError(f"{name}: columns must be from 0 to {K - 1}")


@boundary(OPS["csr_matmul"])
def csr_matmul(values, columns, starts, x, *, out=None):
    """A sparse matrix in compressed rows times a dense one.

    Args:
        values: shape (Z,), float32 or float64; NumPy array or torch tensor.
        columns: shape (Z,), int32, of the same kind: the column of each.
        starts: shape (R + 1,), int32, of the same kind: where the numbers of each row begin, and their end.
        x: shape (K, N), of the dtype and kind of values.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of values.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a column is not one of K, ``starts`` does not rise from 0 to Z, or ``out``
            cannot be written without harm.
    """
    _check_pattern("csr_matmul", columns, starts, x.shape[0])
    if not (values.numel() and out.numel()):
        out.zero_()
        return
    # torch takes the three for contiguous, and reads the wrong numbers where they are not.
    parts = (part.contiguous() for part in (starts, columns, values))
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # once, that this is a beta
        sparse = torch.sparse_csr_tensor(*parts, (len(out), len(x)), check_invariants=False)
    out.copy_(sparse @ x)


@boundary(OPS["block_sparse_matmul"])
def block_sparse_matmul(blocks, columns, starts, x, *, out=None):
    """A matrix of blocks of eight rows by one column times a dense one, number by number: torch has no such product.

    Args:
        blocks: shape (Z, 8), float32 or float64; NumPy array or torch tensor.
        columns: shape (Z,), int32, of the same kind: the column of each.
        starts: shape (R/8 + 1,), int32, of the same kind: where the blocks of each eight rows begin, and their end.
        x: shape (K, N), of the dtype and kind of blocks.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of blocks.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, a column is not one of K, ``starts`` does not rise from 0 to Z, or ``out``
            cannot be written without harm.
    """
    _check_pattern("block_sparse_matmul", columns, starts, x.shape[0])
    if not (blocks.numel() and out.numel()):
        out.zero_()
        return
    Z, tall = blocks.shape
    each = torch.arange(len(starts) - 1, device=starts.device).repeat_interleave(starts.diff())
    rows = each[:, None] * tall + torch.arange(tall, device=starts.device)
    places = torch.stack([rows.reshape(-1), columns.long()[:, None].expand(Z, tall).reshape(-1)])
    sparse = torch.sparse_coo_tensor(places, blocks.reshape(-1), (len(out), len(x)), check_invariants=False)
    out.copy_(sparse @ x)


@boundary(OPS["two_four_matmul"])
def two_four_matmul(values, positions, x, *, out=None):
    """A 2:4 sparse matrix times a dense one, made dense first: torch has this product on some GPUs only.

    Args:
        values: shape (R, K/2), float32 or float64; NumPy array or torch tensor.
        positions: shape (R, K/8), uint8, of the same kind: four positions of two bits in a byte.
        x: shape (K, N), of the dtype and kind of values, K being a multiple of 8.
        out: shape (R, N), filled and returned where given; it must not share memory with the inputs.

    Returns:
        Shape (R, N), of the dtype and kind of values.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    fours = torch.arange(values.shape[1], device=x.device) // 2 * 4
    shifts = torch.tensor([0, 2, 4, 6], device=x.device)
    places = (positions.long()[:, :, None] >> shifts & 3).reshape(values.shape) + fours
    dense = values.new_zeros(len(values), len(x)).scatter_add_(1, places, values)
    torch.mm(dense, x, out=out)
