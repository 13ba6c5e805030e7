"""Pictures of one convolution at work: the window that slides over an image, and the matrix of all windows."""

import numpy as np
from matplotlib.patches import Rectangle

from coursekit.plots import Picture

LARGEST = 12
WINDOW, HERE = "#E69F00", "#56B4E9"


def window(
    x, weight, place: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, alt: str
) -> Picture:
    """An image with its zeros around it, the taps at one place, and the results up to there.

    x, weight: arrays of shape (H, W) and (R, S); place: which result, counted row by row from 0.
    Raises ValueError for what is larger than 12 x 12 with its padding, and for a place that there is not.
    """
    padded, rows, columns = _windows(x, weight, stride, padding, dilation)
    _check(padded, place, len(rows))
    results = np.array(
        [(padded[np.ix_(r, c)] * weight).sum() for r, c in zip(rows, columns, strict=True)], float
    )
    Q = len({tuple(c) for c in columns})
    fig = Picture(alt, (6.4, 3.2))
    left, right = fig.subplots(1, 2)
    _image(left, padded, padding, rows[place], columns[place], np.asarray(weight))
    shown = np.where(np.arange(len(rows)) <= place, results, np.nan).reshape(-1, Q)
    _grid(right, shown, lambda p, q: HERE if p * Q + q == place else "w")
    left.set_title("image, zeros around it, and the taps", fontsize=9)
    right.set_title(f"results: {shown.shape[0]} × {shown.shape[1]}", fontsize=9)
    return fig


def windows_matrix(
    x, weight, place: int, *, stride: int = 1, padding: int = 0, dilation: int = 1, alt: str
) -> Picture:
    """The image with the window at one place, and the matrix that has each window as a column (im2col).

    Arguments and errors are those of :func:`window`. All copies of the window's middle pixel have a thick frame.
    """
    padded, rows, columns = _windows(x, weight, stride, padding, dilation)
    _check(padded, place, len(rows))
    matrix = np.array([padded[np.ix_(r, c)].ravel() for r, c in zip(rows, columns, strict=True)]).T
    names = np.arange(padded.size).reshape(padded.shape)
    sources = np.array([names[np.ix_(r, c)].ravel() for r, c in zip(rows, columns, strict=True)]).T
    middle = sources[len(sources) // 2, place]
    fig = Picture(alt, (6.4, 3.0))
    left, right = fig.subplots(1, 2, width_ratios=(1, 2))
    _image(left, padded, padding, rows[place], columns[place], None)
    _grid(right, matrix, lambda tap, at: WINDOW if at == place else "w")
    y, x = np.unravel_index(middle, padded.shape)
    for axes, cells in ((left, [(y, x)]), (right, np.argwhere(sources == middle))):
        for row, column in cells:
            axes.add_patch(Rectangle((column, row), 1, 1, fill=False, lw=2))
    copies = int((sources == middle).sum())
    left.set_title("image and window", fontsize=9)
    right.set_title(f"{len(matrix)} taps × {len(rows)} places; thick: one pixel, {copies} times", fontsize=9)
    right.set(xlabel="place", ylabel="tap")
    return fig


def _windows(x, weight, stride, padding, dilation):
    """The padded image, and for each place the rows and the columns that the taps meet."""
    padded = np.pad(np.asarray(x, float), padding)
    R, S = np.shape(weight)
    tops = range(0, padded.shape[0] - dilation * (R - 1), stride)
    lefts = range(0, padded.shape[1] - dilation * (S - 1), stride)
    places = [(top, left) for top in tops for left in lefts]
    rows = [top + dilation * np.arange(R) for top, _ in places]
    return padded, rows, [left + dilation * np.arange(S) for _, left in places]


def _check(padded, place, count) -> None:
    if max(padded.shape) > LARGEST:
        raise ValueError(
            f"x must have at most {LARGEST} x {LARGEST} pixels with its padding to be drawn; got {padded.shape}"
        )
    if not 0 <= place < count:
        raise ValueError(f"place must lie between 0 and {count - 1}; got {place}")


def _image(axes, padded, padding, rows, columns, weight) -> None:
    """The pixels, with zeros of the padding in grey, and the taps in colour, with their weights in the corner."""
    H, W = padded.shape

    def colour(h, w):
        if h in rows and w in columns:
            return WINDOW
        return "w" if padding <= h < H - padding and padding <= w < W - padding else "0.85"

    _grid(axes, padded, colour)
    if weight is not None:
        for (r, s), value in np.ndenumerate(weight):
            axes.text(columns[s] + 0.95, rows[r] + 0.95, f"×{value:g}", ha="right", va="bottom", fontsize=5.5)


def _grid(axes, values, colour) -> None:
    """Cells with their numbers; nan is left empty."""
    for (row, column), value in np.ndenumerate(values):
        axes.add_patch(Rectangle((column, row), 1, 1, fc=colour(row, column), ec="0.5", lw=0.5))
        if not np.isnan(value):
            axes.text(column + 0.45, row + 0.5, f"{value:g}", ha="center", va="center", fontsize=7)
    axes.set(xlim=(-0.1, values.shape[1] + 0.1), ylim=(values.shape[0] + 0.1, -0.1), aspect="equal")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
