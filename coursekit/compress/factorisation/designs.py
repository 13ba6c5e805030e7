"""Blocks that are thin by design, in the place of one k x k convolution; they are trained, not computed."""

from torch import nn


def separable(
    ins: int, outs: int, kernel: int = 3, *, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """A depthwise convolution, one k x k kernel for each channel, then a 1x1 convolution with bias.

    Howard et al., *MobileNets* (2017), section 3.1, without their batch norm between the two. ``ins * (k * k + outs)``
    weights, in the place of ``ins * outs * k * k``.

    Parameters
    ----------
    ins, outs, kernel, stride : int
        At least 1.
    padding : int or None
        None keeps the size for an odd kernel with stride 1.
    """
    _check(ins=ins, outs=outs, kernel=kernel, stride=stride)
    around = kernel // 2 if padding is None else padding
    depthwise = nn.Conv2d(ins, ins, kernel, stride, around, groups=ins, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(ins, outs, 1))


def bottleneck(
    ins: int, outs: int, middle: int, kernel: int = 3, *, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """1x1 to few channels, k x k between these, 1x1 to all, with ReLU between them.

    He, Zhang, Ren and Sun, *Deep residual learning for image recognition* (2015), figure 5, without the shortcut: what
    Tucker-2 gives, with non-linearities between its factors. Arguments as in `separable`; middle is the number of the
    few channels. ``middle * (ins + middle * k * k + outs)`` weights.
    """
    _check(ins=ins, outs=outs, middle=middle, kernel=kernel, stride=stride)
    around = kernel // 2 if padding is None else padding
    return nn.Sequential(
        nn.Conv2d(ins, middle, 1),
        nn.ReLU(),
        nn.Conv2d(middle, middle, kernel, stride, around),
        nn.ReLU(),
        nn.Conv2d(middle, outs, 1),
    )


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ValueError(f"{name} must be a whole number of at least 1; got {size!r}")
