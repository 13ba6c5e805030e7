"""Pictures of what runs on a GPU: blocks and their warps, and the addresses that a warp asks for."""

from collections.abc import Mapping

import numpy as np
from matplotlib.patches import Rectangle

from coursekit.measure.gpu.books import WARP
from coursekit.measure.gpu.count import SECTOR
from coursekit.plots import COLOURS, Picture

HATCHES = ("", "//", "..", "xx")


def grid(blocks: tuple[int, int], threads: tuple[int, int], *, alt: str, title: str = "") -> Picture:
    """A grid of blocks, and the threads of the first one, coloured and hatched by warp, with the warp's number.

    blocks, threads: along x and y. Raises ValueError for more than 8 x 8 blocks or 32 x 32 threads.
    """
    if max(blocks) > 8 or max(threads) > 32:
        raise ValueError(f"at most 8 x 8 blocks and 32 x 32 threads can be drawn; got {blocks} and {threads}")
    fig = Picture(alt, (6.4, 3.0))
    left, right = fig.subplots(1, 2)
    fig.suptitle(title, fontsize=10)
    for x, y in np.ndindex(*blocks):
        left.add_patch(Rectangle((x, y), 0.9, 0.9, fc="0.85" if x + y == 0 else "w", ec="black"))
        left.text(x + 0.45, y + 0.45, f"({x}, {y})", ha="center", va="center", fontsize=8)
    for x, y in np.ndindex(*threads):
        warp = (y * threads[0] + x) // WARP
        colour = COLOURS[(warp + 5) % 7]
        right.add_patch(
            Rectangle((x, y), 0.9, 0.9, fc=colour, ec="black", alpha=0.7, hatch=HATCHES[warp % 4], lw=0.5)
        )
    for warp in range(-(-threads[0] * threads[1] // WARP)):
        y, x = divmod(warp * WARP, threads[0])
        right.text(
            x + 0.45,
            y + 0.45,
            str(warp),
            ha="center",
            va="center",
            fontsize=7,
            bbox={"fc": "w", "lw": 0.4, "pad": 1},
        )
    for axes, (nx, ny), name in ((left, blocks, "blockIdx"), (right, threads, "threadIdx")):
        axes.set(
            xlim=(-0.2, nx + 0.1),
            ylim=(ny + 0.1, -0.2),
            aspect="equal",
            xlabel=f"{name}.x",
            ylabel=f"{name}.y",
        )
        axes.spines[:].set_visible(False)
        axes.set_xticks(np.arange(0, nx, max(1, nx // 8)) + 0.45, range(0, nx, max(1, nx // 8)), fontsize=8)
        axes.set_yticks(np.arange(0, ny, max(1, ny // 8)) + 0.45, range(0, ny, max(1, ny // 8)), fontsize=8)
        axes.tick_params(length=0)
    left.set_title(f"the grid: {blocks[0]} × {blocks[1]} blocks", fontsize=9)
    warps = -(-threads[0] * threads[1] // WARP)
    right.set_title(f"block (0, 0): {threads[0]} × {threads[1]} threads, {warps} warps", fontsize=9)
    return fig


def addresses(requests: Mapping[str, object], *, alt: str) -> Picture:
    """The bytes that each thread of a warp asks for, above the sectors of 32 bytes that have to come for them.

    requests: name -> a Request of a Trace. Raises ValueError for none.
    """
    if not requests:
        raise ValueError("requests is empty: there is nothing to draw")
    fig = Picture(alt, (6.4, 0.6 + 1.7 * len(requests)))
    for axes, (name, request) in zip(
        fig.subplots(len(requests), squeeze=False)[:, 0], requests.items(), strict=True
    ):
        first = min(request.addresses) // SECTOR * SECTOR
        end = (max(request.addresses) // SECTOR + 1) * SECTOR - first
        for sector in sorted({a // SECTOR * SECTOR for a in request.addresses}):
            axes.axvspan(sector - first, sector - first + SECTOR, color="0.85", ec="w", lw=0.5)
        for thread, address in zip(request.threads, request.addresses, strict=True):
            width = max(request.width, end / 200)  # to be seen at all
            axes.add_patch(
                Rectangle((address - first, thread - request.warp * WARP), width, 0.9, color=COLOURS[1])
            )
        axes.set(xlim=(0, end), ylim=(WARP, 0), ylabel="thread")
        axes.set_xticks(np.linspace(0, end, 5, dtype=int))
        axes.set_yticks([0, 16, 31])
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(
            f"{name}: {len(request.threads)} threads, {request.sectors} sectors", fontsize=9, loc="left"
        )
    axes.set_xlabel("byte (grey: sectors of 32 bytes that are moved)")
    return fig
