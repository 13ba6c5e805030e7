"""Convolution as a product of spectra: what a filter costs no longer depends on how many taps it has.

A correlation of images with filters is, frequency by frequency, the product of the image's spectrum with the conjugate
of the filter's, summed over the channels: Mathieu, Henaff and LeCun, "Fast training of convolutional networks through
FFTs", ICLR 2014, section 2. The transforms themselves are pocketfft's, through :mod:`scipy.fft`.
"""

import numpy as np

from coursekit.kernels.cpu.compiler import compiled
from coursekit.kernels.cpu.threads import get_num_threads, split

BLOCK = 256
"""Real and imaginary parts that are multiplied at a time: all channels of a block of one filter fit into a cache."""


@compiled
def _multiply(images, filters, first, last, out):
    """out[b, k] = Σ over d of images[b, d] · conj(filters[k, d]), in the blocks from first to last.

    All are spectra of shape (..., F, 2) with real and imaginary parts; images (B, G, D), filters and out (G, K, D) and
    (B, G, K) of them.
    """
    B, G, D, F = images.shape[:4]
    K = filters.shape[1]
    for block in range(first, last):
        low, high = block * BLOCK // 2, min((block + 1) * BLOCK // 2, F)
        for g in range(G):
            for k in range(K):
                for b in range(B):
                    total = out[b, g, k, low:high]
                    total[:] = 0
                    for d in range(D):
                        x, w = images[b, g, d, low:high], filters[g, k, d, low:high]
                        for f in range(high - low):
                            total[f, 0] += x[f, 0] * w[f, 0] + x[f, 1] * w[f, 1]
                            total[f, 1] += x[f, 1] * w[f, 0] - x[f, 0] * w[f, 1]


def _parts(spectra, *shape):
    """Spectra as real and imaginary parts side by side, all frequencies in a row: a view."""
    spectra = np.ascontiguousarray(spectra)
    return spectra.view(spectra.real.dtype).reshape(*shape, -1, 2)


def correlate_spectra(x, weight, bias, stride, padding, dilation, groups, out):
    """Fill ``out`` with the correlation; places that a stride leaves out are computed, and thrown away.

    The transform sees the image repeated without end. A filter that hangs over one edge would meet the opposite one;
    as only places within the padded image are kept, none does, and no more zeros are needed than the padding has.
    """
    from scipy import fft  # here, as the other versions get by without it

    B, K, P, Q = out.shape
    D, R, S = weight.shape[1:]
    height, width = (fft.next_fast_len(n + 2 * padding, real=True) for n in x.shape[2:])
    spread = np.zeros((K, D, dilation * (R - 1) + 1, dilation * (S - 1) + 1), weight.dtype)
    spread[:, :, ::dilation, ::dilation] = weight
    threads = get_num_threads()
    image = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    images = fft.rfft2(image, (height, width), workers=threads)
    rows = fft.rfft(spread, width, workers=threads)  # of the rows that are not zero
    filters = fft.fft(rows, height, axis=2, workers=threads)
    product = np.empty((B, K, *images.shape[2:]), images.dtype)
    parts = (
        _parts(images, B, groups, D),
        _parts(filters, groups, K // groups, D),
        _parts(product, B, groups, K // groups),
    )
    blocks = -(-2 * product[0, 0].size // BLOCK)
    split(lambda i, j: _multiply(*parts[:2], i, j, parts[2]), blocks, 1)
    full = fft.irfft2(product, (height, width), workers=threads)
    np.add(full[:, :, ::stride, ::stride][:, :, :P, :Q], bias[:, None, None], out=out)
