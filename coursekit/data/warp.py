"""Turning and moving a whole batch of images at once, with bilinear interpolation, compiled by Numba.

Each pixel of the result looks up where it comes from, which is between four pixels of the source, and mixes these. With
a frame of zeros around the source there are always four. Where a row of the result comes from is a straight line in
the source, so the part of it that lies inside is known before the loop over its pixels, and the loop asks nothing.
Threads are those of :mod:`coursekit.kernels.cpu.threads`: one, unless more are asked for.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.threads import split

GRAIN = 2**15
"""Pixels that are worth a thread."""
ONE, LOW = 2.0**32, 2**32 - 1
"""A pixel in the whole numbers that the inner loop counts with, and the bits that are less than one."""


def rotate(images: np.ndarray, degrees, *, out: np.ndarray | None = None) -> np.ndarray:
    """Turn each image about its centre, counter-clockwise, as ``skimage.transform.rotate`` does with its defaults.

    Parameters
    ----------
    images : ndarray, float32, shape (n, channels, height, width)
    degrees : float, or array of shape (n,)
        One angle for all, or one for each.
    out : ndarray, float32, same shape, C-contiguous
        Where the result goes; it must not share memory with images.

    Returns
    -------
    ndarray, float32, same shape
        What comes from outside the image is 0.

    Raises
    ------
    TypeError, ValueError
        For another dtype, shape or memory, or angles that are not finite.
    """
    n, _, height, width = as_batch(images).shape
    angles = np.deg2rad(_per_image("degrees", degrees, n))
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = (width - 1) / 2, (height - 1) / 2
    rows = [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y]
    return affine(images, np.stack(rows, axis=1).reshape(n, 2, 3), out=out)


def shift(images: np.ndarray, right, down, *, out: np.ndarray | None = None) -> np.ndarray:
    """Move each image by so many pixels, whole ones or parts; arguments and result as in :func:`rotate`.

    ``right`` and ``down`` are floats, or arrays of shape (n,); negative ones move to the left and up.
    """
    n = len(as_batch(images))
    matrices = np.zeros((n, 2, 3))
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1
    matrices[:, 0, 2] = -_per_image("right", right, n)
    matrices[:, 1, 2] = -_per_image("down", down, n)
    return affine(images, matrices, out=out)


def affine(images: np.ndarray, matrices: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Fetch each pixel (column, row) of the result from ``matrix @ (column, row, 1)`` of the source.

    Parameters
    ----------
    images : ndarray, float32, shape (n, channels, height, width)
    matrices : ndarray, float, shape (n, 2, 3)
        One for each image, in pixels; first the line for the column, then that for the row.
    out : as in :func:`rotate`

    Returns
    -------
    ndarray, float32, same shape
        The mean of four neighbours, weighted by how near they are; those outside count as 0.
    """
    images = np.ascontiguousarray(as_batch(images))
    matrices = np.ascontiguousarray(matrices, dtype=np.float64)
    if matrices.shape != (len(images), 2, 3):
        raise ValueError(f"matrices must have the shape {(len(images), 2, 3)}, got {matrices.shape}")
    if not np.isfinite(matrices).all():
        raise ValueError("matrices must be finite")
    out = _target(images, out)
    pixels = max(1, images[:1].size)
    split(lambda i, j: _affine(images[i:j], matrices[i:j], out[i:j]), len(images), 1 + GRAIN // pixels)
    return out


@compiled
def _affine(images, matrices, out):
    N, C, H, W = images.shape
    framed = np.zeros((H + 2, W + 2), np.float32)
    pixels, results = framed.reshape(-1), out.reshape(-1)
    for n in range(N):
        m = matrices[n]
        for c in range(C):
            framed[1:-1, 1:-1] = images[n, c]
            for row in range(H):
                x, y = m[0, 1] * row + m[0, 2] + 1, m[1, 1] * row + m[1, 2] + 1
                _row(pixels, H + 2, W + 2, x, m[0, 0], y, m[1, 0], results, ((n * C + c) * H + row) * W)


@compiled(inline=True)
def _row(pixels, H, W, x, dx, y, dy, out, to):
    """The row of the result that begins at position ``to``: zeros, the part that lies in the source, and zeros."""
    start, stop = _span(H, W, x, dx, y, dy)
    for i in range(start):
        out[np.uint64(to + i)] = 0
    if start < stop:
        _mix(pixels, W, x + start * dx, dx, y + start * dy, dy, out, to + start, to + stop)
    for i in range(stop, W - 2):
        out[np.uint64(to + i)] = 0


@compiled
def _span(H, W, x, dx, y, dy):
    """The part of a row whose places (x + i·dx, y + i·dy) lie between four pixels of the framed source each."""
    start, stop = _part(x, dx, W - 1, 0, W - 2)
    start, stop = _part(y, dy, H - 1, start, stop)
    while start < stop and not (0 <= x + start * dx < W - 1 and 0 <= y + start * dy < H - 1):
        start += 1
    steps = stop - 1 - start
    while steps > 0 and not _stays_inside(H, W, x + start * dx, dx, y + start * dy, dy, steps):
        steps -= 1
    return start, max(start, start + steps + 1)


@compiled(inline=True)
def _part(x, dx, end, start, stop):
    """The whole numbers i from start to stop with 0 <= x + i·dx < end, give or take what rounding does to the last."""
    if dx == 0:
        return (start, stop) if 0 <= x < end else (start, start)
    a, b = -x / dx, (end - x) / dx
    first = max(float(start), np.ceil(min(a, b)))
    last = min(float(stop), np.floor(max(a, b)) + 1)
    return (int(first), int(last)) if first < last else (start, start)


@compiled(inline=True)
def _stays_inside(H, W, x, dx, y, dy, steps):
    """Whether the place after so many steps, as _mix counts them, is still between four pixels."""
    if abs(dx) > W or abs(dy) > H:  # too far for one step, and for whole numbers of 64 bits
        return False
    u = np.int64(x * ONE) + steps * np.int64(dx * ONE)
    v = np.int64(y * ONE) + steps * np.int64(dy * ONE)
    return 0 <= u < (W - 1) * np.int64(ONE) and 0 <= v < (H - 1) * np.int64(ONE)


@compiled(inline=True)
def _mix(pixels, W, x, dx, y, dy, out, start, stop):
    """Fill out from start to stop; the first comes from (x, y).

    Places are whole numbers of 2⁻³² pixels here: to go on is an addition, the upper bits are the pixel, and the lower
    ones how far it is to the next. An index without a sign saves the question whether it counts from the end.
    """
    u, du, v, dv = np.int64(x * ONE), np.int64(dx * ONE), np.int64(y * ONE), np.int64(dy * ONE)
    share = np.float32(2.0**-31)
    for i in range(start, stop):
        right = np.float32(np.int32((u & LOW) >> 1)) * share
        down = np.float32(np.int32((v & LOW) >> 1)) * share
        at = np.uint64((v >> 32) * W + (u >> 32))
        a, b = pixels[at], pixels[at + np.uint64(1)]
        c, d = pixels[at + np.uint64(W)], pixels[at + np.uint64(W + 1)]
        above = a + (b - a) * right
        out[np.uint64(i)] = above + (c + (d - c) * right - above) * down
        u, v = u + du, v + dv


def as_batch(images) -> np.ndarray:
    """``images`` itself. TypeError where it is no NumPy array of float32, ValueError where its shape is no batch's."""
    if not isinstance(images, np.ndarray) or images.dtype != np.float32:
        got = getattr(images, "dtype", type(images).__name__)
        raise TypeError(f"images must be a NumPy array of float32, got {got}")
    if images.ndim != 4:
        raise ValueError(f"images must have the shape (n, channels, height, width), got {images.shape}")
    return images


def _per_image(name: str, value, n: int) -> np.ndarray:
    value = np.asarray(value, dtype=np.float64)
    if value.shape not in ((), (n,)):
        raise ValueError(f"{name} must be one number or {n} of them, got shape {value.shape}")
    if not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite")
    return np.broadcast_to(value, n)


def _target(images: np.ndarray, out) -> np.ndarray:
    if out is None:
        return np.empty_like(images)
    if as_batch(out).shape != images.shape:
        raise ValueError(f"out must have the shape {images.shape} of images, got {out.shape}")
    if not out.flags.carray:
        raise ValueError("out must be contiguous and writable")
    if np.may_share_memory(out, images):
        raise ValueError("out must not share memory with images: a pixel is read more than once")
    return out
