"""From dense matrices to the packed forms that the kernels take, and back: plain NumPy, for use before the race.

``to_csr`` and ``to_blocks`` drop what is zero. Each ``from_…`` undoes what its ``to_…`` did.
"""

import numpy as np

from coursekit.kernels.ops.sparse import TALL, columns_of


def _matrix(dense, name: str) -> np.ndarray:
    dense = np.asarray(dense)
    if dense.ndim != 2:
        raise ValueError(f"{name}: dense must be a matrix; got shape {dense.shape}")
    return dense


def _starts(rows: np.ndarray, count: int) -> np.ndarray:
    """Where the entries of each of ``count`` rows begin, from the sorted row numbers of all entries, and their end."""
    return np.searchsorted(rows, np.arange(count + 1)).astype(np.int32)


def to_csr(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The numbers of a matrix that are not zero, row by row, as ``csr_matmul`` takes them.

    Args:
        dense: shape (R, K), any dtype.

    Returns:
        values (Z,) of its dtype, columns (Z,) int32, and starts (R + 1,) int32.

    Raises:
        ValueError: ``dense`` is no matrix.
    """
    dense = _matrix(dense, "to_csr")
    rows, columns = np.nonzero(dense)
    return dense[rows, columns], columns.astype(np.int32), _starts(rows, len(dense))


def from_csr(values: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """The dense matrix, of ``width`` columns; what has the same place is added up."""
    dense = np.zeros((starts.size - 1, width), values.dtype)
    np.add.at(dense, (np.repeat(np.arange(starts.size - 1), np.diff(starts)), columns), values)
    return dense


def to_blocks(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The blocks of eight rows by one column that are not all zeros, as ``block_sparse_matmul`` takes them.

    Args:
        dense: shape (R, K), R being a multiple of 8, any dtype.

    Returns:
        blocks (Z, 8) of its dtype, columns (Z,) int32, and starts (R/8 + 1,) int32.

    Raises:
        ValueError: ``dense`` is no matrix, or R no multiple of 8.
    """
    dense = _matrix(dense, "to_blocks")
    if len(dense) % TALL:
        raise ValueError(f"to_blocks: dense must have a multiple of {TALL} rows; got {len(dense)}")
    tall = dense.reshape(len(dense) // TALL, TALL, dense.shape[1]).swapaxes(1, 2)
    rows, columns = np.nonzero((tall != 0).any(2))
    return tall[rows, columns], columns.astype(np.int32), _starts(rows, len(tall))


def from_blocks(blocks: np.ndarray, columns: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """The dense matrix, of ``width`` columns; what has the same place is added up."""
    tall = np.zeros((starts.size - 1, width, TALL), blocks.dtype)
    np.add.at(tall, (np.repeat(np.arange(starts.size - 1), np.diff(starts)), columns), blocks)
    return tall.swapaxes(1, 2).reshape(len(tall) * TALL, width)


def to_two_four(dense: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A matrix with at most two numbers that are not zero in each four of a row, as ``two_four_matmul`` takes it.

    Args:
        dense: shape (R, K), K being a multiple of 8, any dtype.

    Returns:
        values (R, K/2) of its dtype, and positions (R, K/8) uint8.

    Raises:
        ValueError: ``dense`` is no matrix, K no multiple of 8, or four have more than two that are not zero.
    """
    dense = _matrix(dense, "to_two_four")
    R, K = dense.shape
    if K % 8:
        raise ValueError(f"to_two_four: dense must have a multiple of 8 columns; got {K}")
    fours = dense.reshape(R, K // 4, 4)
    if ((fours != 0).sum(2) > 2).any():
        raise ValueError("to_two_four: dense must have two zeros or more in each four of a row; got fewer")
    # Those that are not zero first, and of the two kept the first first.
    places = np.sort(np.argsort(fours == 0, axis=2, kind="stable")[:, :, :2], axis=2)
    bits = places.reshape(R, K // 8, 4).astype(np.uint8) << np.uint8([0, 2, 4, 6])
    values = np.take_along_axis(fours, places, 2).reshape(R, K // 2)
    return values, np.bitwise_or.reduce(bits, axis=2)


def from_two_four(values: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The dense matrix; what has the same place is added up."""
    dense = np.zeros((values.shape[0], 2 * values.shape[1]), values.dtype)
    np.add.at(dense, (np.arange(len(dense))[:, None], columns_of(positions)), values)
    return dense
