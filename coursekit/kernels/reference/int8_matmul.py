"""Products of int8, by torch in float64, where they are exact; its own product of int8 is a rival in the race."""

import torch
from torch.nn import functional

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary


def _multiply(a, b, out):
    """Through int64, because a float beyond int32 has no defined cast to it, while integers wrap around."""
    out.copy_(torch.mm(a.double(), b.double()).long())


@boundary(OPS["int8_matmul"])
def int8_matmul(a, b, *, out=None):
    """The matrix product of int8 in int32.

    Args:
        a: shape (M, K), int8; NumPy array or torch tensor.
        b: shape (K, N), int8, of the same kind.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with a or b.

    Returns:
        Shape (M, N), int32, of the inputs' kind; modulo 2³², which K > 131071 may need.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype.
        ValueError: shapes do not fit, or ``out`` cannot be written without harm.
    """
    _multiply(a, b, out)


@boundary(OPS["pack_int8"])
def pack_int8(b, *, out=None):
    """A matrix of int8 in panels of 16 columns, four neighbours of a column side by side.

    Args:
        b: shape (K, N), int8; NumPy array or torch tensor.
        out: shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, filled and returned where given; it must not share memory with b.

    Returns:
        Shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, of the kind of b, with zeros beyond its edges.

    Raises:
        TypeError: b is no array, or not of int8.
        ValueError: b has not two dimensions, or ``out`` cannot be written without harm.
    """
    P, Q, panel, four = out.shape
    K, N = b.shape
    padded = functional.pad(b, (0, P * panel - N, 0, Q * four - K))
    out.copy_(padded.reshape(Q, four, P, panel).permute(2, 0, 3, 1))


def unpack_int8(panels, K, N):
    """The matrix (K, N) that :func:`pack_int8` packed."""
    P, Q, panel, four = panels.shape
    return panels.permute(1, 3, 0, 2).reshape(Q * four, P * panel)[:K, :N]


@boundary(OPS["int8_matmul_packed"])
def int8_matmul_packed(a, panels, *, columns=0, out=None):
    """The matrix product of int8 in int32, the second factor being packed by :func:`pack_int8`.

    Args:
        a: shape (M, K), int8; NumPy array or torch tensor.
        panels: shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, of the same kind.
        columns: N, the columns of the matrix that was packed.
        out: shape (M, N), int32, filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), int32, of the inputs' kind; modulo 2³², which K > 131071 may need.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; ``columns`` is no int.
        ValueError: shapes do not fit, ``columns`` is below 0, or ``out`` cannot be written without harm.
    """
    _multiply(a, unpack_int8(panels, a.shape[1], columns), out)
