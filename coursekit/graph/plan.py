"""Where each value lies in memory: one block for the whole graph, of which parts are used again and again.

A value lives from the node that makes it to the last one that reads it. Two values may lie in the same place where
their lives do not meet; and an operation that may work in place takes the place of an argument that nobody reads later.
Placing the largest first at the lowest place that is free is the method of Pisarchyk and Lee, "Efficient memory
management for deep neural net inference", arXiv:2001.03288, section 5.2.

Inputs and constants lie elsewhere, and what kernels take for themselves while they run is not counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from coursekit.graph.graph import Graph, Node, is_view
from coursekit.graph.operations import OPERATIONS
from coursekit.measure.text import binary

ALIGNED = 64
"""Places begin at multiples of a cache line."""

Value = tuple[Node, int]
"""A result of a node, by its number."""


@dataclass(eq=False)
class Room:
    """A piece of memory for one value, or for several that follow each other in place.

    Attributes:
        nbytes: its size.
        start, stop: the numbers of the first and the last node during which it is taken.
    """

    nbytes: int
    start: int
    stop: int

    def meets(self, other: "Room") -> bool:
        return self.start <= other.stop and other.start <= self.stop


@dataclass(frozen=True, eq=False)
class Plan:
    """Where the values of a graph lie.

    Attributes:
        rooms: for each value that is computed its room; views have that of what they show.
        places: for each room where it begins, in bytes.
        peak: bytes of the block.
        bound: at no order of placing could it be smaller, with these lives: the most bytes alive at a time.
        unplanned: bytes where each value has memory of its own.
    """

    rooms: Mapping[Value, Room] = field(repr=False)
    places: Mapping[Room, int] = field(repr=False)
    peak: int
    bound: int
    unplanned: int

    def __repr__(self) -> str:
        return (
            f"Plan({binary(self.peak)} for all values, at least {binary(self.bound)}, "
            f"{binary(self.unplanned)} where each has memory of its own)"
        )


def plan(graph: Graph, *, reuse: bool = True, outside: frozenset[Node] = frozenset()) -> Plan:
    """Place the values of a graph, in the order of its nodes.

    Args:
        reuse: use memory again; False gives each value its own.
        outside: nodes whose values lie elsewhere.
    """
    rooms, unplanned = _rooms(graph, reuse, outside)
    distinct = list(dict.fromkeys(rooms.values()))
    if not reuse:
        for room in distinct:
            room.start, room.stop = 0, len(graph.nodes)
    places = _placed(distinct)
    peak = max((places[room] + _aligned(room.nbytes) for room in distinct), default=0)
    return Plan(rooms, places, peak, _most_alive(distinct), unplanned)


def source(value: Value) -> Value:
    """The value whose memory this one is, through all views."""
    node, number = value
    while is_view(node):
        number = node.options["index"] if node.operation == "item" else number
        node = node.inputs[0]
    return node, number


def _sources(node: Node) -> list[Value]:
    """What a node reads; of several results, as a view of them, the one that it shows."""
    if is_view(node):
        return [source((node, 0))]
    return [source((read, 0)) for read in node.inputs]


def last_reads(graph: Graph) -> dict[Value, int]:
    """For each value the number of the last node that reads it, or, of an output, one beyond all nodes."""
    last: dict[Value, int] = {}
    for number, node in enumerate(graph.nodes):
        for value in _sources(node):
            last[value] = number
    for node in graph.outputs:
        last[source((node, 0))] = len(graph.nodes)
    return last


def _rooms(graph, reuse, outside) -> tuple[dict[Value, Room], int]:
    """A room for each value, shared where one follows the other in place; and the bytes of all values."""
    last, rooms, total = last_reads(graph), {}, 0
    for number, node in enumerate(graph.nodes):
        if not node.computes or is_view(node) or node in outside:
            continue
        free = _left(node, number, last, rooms) if reuse else []
        for i, spec in enumerate(node.results):
            total += _aligned(spec.nbytes)
            same = next((value for value in free if value[0].results[value[1]] == spec), None)
            if same is not None:
                free = [value for value in free if rooms[value] is not rooms[same]]
            room = rooms[same] if same is not None else Room(spec.nbytes, number, number)
            room.stop = last.get((node, i), number)
            rooms[node, i] = room
    return rooms, total


def _left(node, number, last, rooms) -> list[Value]:
    """The arguments whose place a result may take: those that the operation may overwrite, and nobody reads later."""
    places = [i for i in OPERATIONS[node.operation].inplace if i < len(node.inputs)]
    values = [source((node.inputs[i], 0)) for i in places]
    return [value for value in values if value in rooms and last[value] == number]


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNED) * ALIGNED


def _placed(rooms: list[Room]) -> dict[Room, int]:
    places: dict[Room, int] = {}
    for room in sorted(rooms, key=lambda room: -room.nbytes):
        taken = sorted((places[other], other.nbytes) for other in places if room.meets(other))
        at = 0
        for start, nbytes in taken:
            if at + _aligned(room.nbytes) <= start:
                break
            at = max(at, start + _aligned(nbytes))
        places[room] = at
    return places


def _most_alive(rooms: list[Room]) -> int:
    changes: dict[int, int] = {}
    for room in rooms:
        changes[room.start] = changes.get(room.start, 0) + _aligned(room.nbytes)
        changes[room.stop + 1] = changes.get(room.stop + 1, 0) - _aligned(room.nbytes)
    alive, most = 0, 0
    for number in sorted(changes):
        alive += changes[number]
        most = max(most, alive)
    return most
