"""Where the nodes of a drawing go: in layers, with few crossings, and edges as straight as may be.

Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures", IEEE Transactions on
Systems, Man and Cybernetics 11(2), 1981: layers by longest paths, orders by barycentres, and then positions.
"""

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

GAP = 18.0
"""Between neighbours in a layer, in pixels."""
SWEEPS = 12

Edge = tuple[Hashable, Hashable]


@dataclass(frozen=True)
class Bend:
    """The place where a long edge passes through a layer."""

    edge: Edge
    layer: int


@dataclass(frozen=True)
class Layout:
    """``centres[item]`` is where an item's middle lies from left to right; ``layers`` are the items from top to bottom,
    each in its order; ``paths[edge]`` the items that an edge touches, the ends among them.
    """

    centres: Mapping[Hashable, float]
    layers: tuple[tuple[Hashable, ...], ...]
    paths: Mapping[Edge, tuple[Hashable, ...]]


def lay_out(items: Sequence[Hashable], edges: Sequence[Edge], widths: Mapping[Hashable, float]) -> Layout:
    """Place items, given so that all edges lead from earlier ones to later ones."""
    levels = _levels(items, edges)
    layers: list[list[Hashable]] = [[] for _ in range(max(levels.values(), default=-1) + 1)]
    for item in items:
        layers[levels[item]].append(item)
    paths = {edge: _path(edge, levels, layers) for edge in dict.fromkeys(edges)}
    above, below = _neighbours(layers, paths)
    layers = _ordered(layers, above, below)
    widths = {item: widths.get(item, 8.0) for layer in layers for item in layer}
    return Layout(_centres(layers, above, below, widths), tuple(map(tuple, layers)), paths)


def _levels(items, edges) -> dict[Hashable, int]:
    """The longest path that leads to an item; what nothing leads to stands right above its first reader."""
    before, after = {item: [] for item in items}, {item: [] for item in items}
    for start, end in edges:
        before[end].append(start)
        after[start].append(end)
    levels = {}
    for item in items:
        levels[item] = max((levels[other] + 1 for other in before[item]), default=0)
    for item in items:
        if not before[item] and after[item]:
            levels[item] = min(levels[other] for other in after[item]) - 1
    return levels


def _path(edge, levels, layers) -> tuple[Hashable, ...]:
    start, end = edge
    bends = [Bend(edge, level) for level in range(levels[start] + 1, levels[end])]
    for bend in bends:
        layers[bend.layer].append(bend)
    return (start, *bends, end)


def _neighbours(layers, paths):
    above = {item: [] for layer in layers for item in layer}
    below = {item: [] for layer in layers for item in layer}
    for path in paths.values():
        for upper, lower in itertools.pairwise(path):
            above[lower].append(upper)
            below[upper].append(lower)
    return above, below


def _ordered(layers, above, below):
    """Sweeps down and up, each layer sorted by where its neighbours are in the mean; the best order seen is kept."""
    best, fewest = layers, crossings(layers, below)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        layers = list(layers)
        order = range(1, len(layers)) if down else range(len(layers) - 2, -1, -1)
        for i in order:
            fixed = {item: place for place, item in enumerate(layers[i - 1 if down else i + 1])}
            layers[i] = _by_barycentre(layers[i], above if down else below, fixed)
        if (count := crossings(layers, below)) < fewest:
            best, fewest = layers, count
    return best


def _by_barycentre(layer, neighbours, fixed):
    def place(item):
        found = [fixed[other] for other in neighbours[item]]
        return sum(found) / len(found) if found else layer.index(item)

    return sorted(layer, key=place)


def crossings(layers, below) -> int:
    """Pairs of edges between neighbouring layers that cross."""
    total = 0
    for upper, lower in itertools.pairwise(layers):
        places = {item: place for place, item in enumerate(lower)}
        ends = [sorted(places[other] for other in below[item]) for item in upper]
        flat = [place for group in ends for place in group]
        total += sum(later < early for i, early in enumerate(flat) for later in flat[i + 1 :])
    return total


def _centres(layers, above, below, widths) -> dict[Hashable, float]:
    """Each item as near to its neighbours as its place in the order and its width allow."""
    centres = {}
    for layer in layers:
        centres.update(spread(layer, [0.0] * len(layer), widths))
    for neighbours, order in [(above, layers), (below, layers[::-1])] * 4:
        for layer in order:
            wishes = [_mean([centres[o] for o in neighbours[item]], centres[item]) for item in layer]
            centres.update(spread(layer, wishes, widths))
    left = min((centres[item] - widths[item] / 2 for item in centres), default=0.0)
    return {item: centre - left for item, centre in centres.items()}


def _mean(values, otherwise):
    return sum(values) / len(values) if values else otherwise


def spread(layer, wishes, widths) -> dict[Hashable, float]:
    """The places nearest to the wishes, in the sum of squares, that keep the order and the gaps.

    Places less the room that stands before them only have to rise: that is isotonic regression, done by pooling
    neighbours that violate it (Ayer et al., Annals of Mathematical Statistics 26, 1955).
    """
    shifts, at = [], 0.0
    for i, item in enumerate(layer):
        at += (widths[layer[i - 1]] + widths[item]) / 2 + GAP if i else 0.0
        shifts.append(at)
    pools: list[list[float]] = []  # sums of wishes and how many there are
    for wish, shift in zip(wishes, shifts, strict=True):
        pools.append([wish - shift, 1])
        while len(pools) > 1 and pools[-2][0] / pools[-2][1] > pools[-1][0] / pools[-1][1]:
            total, count = pools.pop()
            pools[-1] = [pools[-1][0] + total, pools[-1][1] + count]
    places = [total / count for total, count in pools for _ in range(int(count))]
    return {item: place + shift for item, place, shift in zip(layer, places, shifts, strict=True)}
