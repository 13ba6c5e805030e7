"""Layers of integers, by torch: products in float64, where they are exact, and all else in int64."""

import torch
from torch.nn import functional

from coursekit.kernels.ops import OPS
from coursekit.kernels.reference.arrays import boundary
from coursekit.kernels.reference.int8_matmul import unpack_int8


def _rescale(total, bias, multiplier, shift, zero, low, high, out):
    total = (total + bias).to(torch.int32).long()
    product = total * multiplier
    size = (product.abs() + (torch.ones_like(shift, dtype=torch.int64) << (shift.long() - 1))) >> shift
    out.copy_((product.sign() * size + zero).clamp(low, high))


@boundary(OPS["quantize_int8"])
def quantize_int8(x, *, scale=1.0, zero=0, out=None):
    """Floats as the nearest of 256 steps: round(x / scale) + zero, halves to even, and the ends for what is beyond.

    Args:
        x: any shape, float32 or float64; NumPy array or torch tensor. A nan becomes -128.
        scale: the step, positive, taken in the dtype of x.
        zero: the integer that stands for 0.
        out: int8 of the shape of x, filled and returned where given.

    Returns:
        int8 of the shape and kind of x.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: an option is out of range, or ``out`` cannot be written without harm.
    """
    steps = (x / torch.tensor(scale, dtype=x.dtype, device=x.device)).round() + zero
    out.copy_(steps.nan_to_num(-128, torch.inf, -torch.inf).clamp(-128, 127))


@boundary(OPS["requantize"])
def requantize(x, bias, multiplier, shift, *, zero=0, low=-128, high=127, out=None):
    """Sums in int32 brought to int8 by a multiplication and a shift, halves away from zero.

    Args:
        x: shape (M, N), int32; NumPy array or torch tensor.
        bias: shape (N,), int32, of the same kind; added modulo 2³².
        multiplier: shape (N,), int32, 0 or more: that of column n divided by 2^shift[n] is what x is multiplied by.
        shift: shape (N,), int32, each from 33 to 62.
        zero: added to the quotient: the integer that stands for 0.
        low: the smallest result.
        high: the largest result.
        out: shape (M, N), int8, filled and returned where given.

    Returns:
        Shape (M, N), int8, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, an option is out of range, or ``out`` cannot be written without harm.
    """
    _rescale(x.long(), bias, multiplier, shift, zero, low, high, out)


@boundary(OPS["int8_linear"])
def int8_linear(x, panels, bias, multiplier, shift, *, zero=0, low=-128, high=127, out=None):
    """A linear layer of int8: the product in int32, and :func:`requantize`.

    Args:
        x: shape (M, K), int8; NumPy array or torch tensor.
        panels: shape (⌈N/16⌉, ⌈K/4⌉, 16, 4), int8, the transposed weight as :func:`pack_int8` packs it.
        bias, multiplier, shift: shape (N,), int32, as :func:`requantize` takes them.
        zero, low, high: as :func:`requantize` takes them.
        out: shape (M, N), int8, filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (M, N), int8, of the inputs' kind.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is no int.
        ValueError: shapes do not fit, an option is out of range, or ``out`` cannot be written without harm.
    """
    columns = unpack_int8(panels, x.shape[1], len(bias))
    total = torch.mm(x.double(), columns.double()).long()
    _rescale(total, bias, multiplier, shift, zero, low, high, out)


@boundary(OPS["pack_int8_filters"])
def pack_int8_filters(weight, *, out=None):
    """Filters of int8 in panels of 16, as :func:`int8_conv2d` reads them: channels last, a filter's rows in fours.

    Args:
        weight: shape (K, C, R, S), int8; NumPy array or torch tensor.
        out: shape (⌈K/16⌉, R·⌈S·C/4⌉, 16, 4), int8, filled and returned where given.

    Returns:
        Shape (⌈K/16⌉, R·⌈S·C/4⌉, 16, 4), int8, of the kind of weight, with zeros beyond the edges.

    Raises:
        TypeError: weight is no array, or not of int8.
        ValueError: weight has not four dimensions, or ``out`` cannot be written without harm.
    """
    K, C, R, S = weight.shape
    G, T, panel, four = out.shape
    rows = functional.pad(weight.permute(0, 2, 3, 1).reshape(K, R, S * C), (0, -S * C % four))
    padded = functional.pad(rows.reshape(K, T * four), (0, 0, 0, G * panel - K))
    out.copy_(padded.reshape(G, panel, T, four).permute(0, 2, 1, 3))


@boundary(OPS["int8_conv2d"])
def int8_conv2d(
    x,
    panels,
    bias,
    multiplier,
    shift,
    *,
    taps=(1, 1),
    stride=1,
    padding=0,
    fill=0,
    pool=1,
    zero=0,
    low=-128,
    high=127,
    out=None,
):
    """A convolution of int8, channels last: sums in int32, and :func:`requantize`.

    Args:
        x: shape (B, H, W, C), int8; NumPy array or torch tensor.
        panels: shape (⌈N/16⌉, R·⌈S·C/4⌉, 16, 4), int8, as :func:`pack_int8_filters` packs them.
        bias, multiplier, shift: shape (N,), int32, as :func:`requantize` takes them.
        taps: (R, S), the filters' height and width.
        stride: pixels from one place of the filter to the next.
        padding: pixels of ``fill`` on all four sides.
        fill: what stands for 0 in x.
        pool: 2 for the largest of each square of 2 x 2 results, an odd row or column left out; 1 for all of them.
        zero, low, high: as :func:`requantize` takes them.
        out: shape (B, P, Q, N), int8, filled and returned where given; it must not share memory with the others.

    Returns:
        Shape (B, P, Q, N), int8, with P = ((H + 2·padding − R) // stride + 1) // pool, and Q likewise.

    Raises:
        TypeError: an argument is no array, or of another kind or dtype; an option is of another type.
        ValueError: shapes do not fit, an option is out of range, or ``out`` cannot be written without harm.
    """
    R, S = taps
    C = x.shape[3]
    N = out.shape[3]
    width = -(-S * C // 4) * 4
    weight = unpack_int8(panels, R * width, N).reshape(R, width, N)[:, : S * C].reshape(R * S * C, N)
    padded = functional.pad(x.double(), (0, 0, *[padding] * 4), value=fill)
    windows = padded.unfold(1, R, stride).unfold(2, S, stride).permute(0, 1, 2, 4, 5, 3)
    B, P, Q = windows.shape[:3]
    total = torch.mm(windows.reshape(B * P * Q, R * S * C), weight.double()).long()
    steps = torch.empty(B, P, Q, N, dtype=torch.int8, device=x.device)
    _rescale(total, bias, multiplier, shift, zero, low, high, steps.view(B * P * Q, N))
    if pool == 1:
        out.copy_(steps)
    elif out.numel():
        out.copy_(steps.unfold(1, pool, pool).unfold(2, pool, pool).amax((-2, -1)))


@boundary(OPS["int8_max_pool2d"])
def int8_max_pool2d(x, *, kernel_size=2, stride=2, padding=0, out=None):
    """The largest int8 under each place of a square window, channels last.

    Args:
        x: shape (B, H, W, C), int8; NumPy array or torch tensor.
        kernel_size: the window's height and width.
        stride: pixels from one place of the window to the next.
        padding: how far the window may stand out on each side, half of it at most; what is there does not count.
        out: shape (B, P, Q, C), int8, filled and returned where given; it must not share memory with x.

    Returns:
        Shape (B, P, Q, C), int8, with P = (H + 2·padding − kernel_size) // stride + 1, and Q likewise.

    Raises:
        TypeError: x is no array, or of another dtype; an option is no int.
        ValueError: the window does not fit, an option is out of range, or ``out`` cannot be written without harm.
    """
    padded = functional.pad(x, (0, 0, *[padding] * 4), value=-128)
    windows = padded.unfold(1, kernel_size, stride).unfold(2, kernel_size, stride)
    if out.numel():
        out.copy_(windows.amax((-2, -1)))
