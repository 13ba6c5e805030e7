"""The table that the whole course adds to: how good, how large and how fast each model is."""

import json
import math
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path

from coursekit.measure.machine import this_machine
from coursekit.measure.scores import Estimate, Quality
from coursekit.measure.text import html_table, seconds, si, text_table
from coursekit.storage import home, write_atomically

QUALITIES = ("accuracy", "precision", "recall", "f1")
HEADER = ["model", "accuracy", "precision", "recall", "F1", "parameters", "on disk", "p50", "p99"]


@dataclass(frozen=True)
class Row:
    """One model: qualities as Estimates, `bytes_on_disk`, latencies in seconds for a batch of one."""

    name: str
    accuracy: Estimate
    precision: Estimate
    recall: Estimate
    f1: Estimate
    params: int
    bytes_on_disk: int
    p50_s: float
    p99_s: float
    flops: int | None = None
    lesson: str | None = None
    note: str = ""
    machine: str = ""
    added: str = field(default="")

    def cells(self) -> list[str]:
        """The row as it stands in the table."""
        qualities = [str(getattr(self, name)) for name in QUALITIES]
        times = [seconds(self.p50_s), seconds(self.p99_s)]
        return [self.name, *qualities, f"{self.params:,}", si(self.bytes_on_disk, "B"), *times]


class Table:
    """What `Ledger.table` returns: prints as text, and shows as HTML in a notebook."""

    def __init__(self, rows: list[Row]):
        self._cells = [row.cells() for row in rows]

    def __str__(self) -> str:
        return text_table(HEADER, self._cells)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return html_table(HEADER, self._cells, caption="models, with 95 % intervals")


class Ledger:
    """Rows in a JSON file, `home()/ledger.json` unless `path` is given; iteration goes in the order of adding.

    Several processes may add at once. A file that cannot be read is set aside under a name that ends in .broken, with a
    RuntimeWarning, and a new one is begun.
    """

    def __init__(self, path: str | Path | None = None):
        self.path = Path(path) if path is not None else home() / "ledger.json"

    def add(
        self,
        name: str,
        *,
        quality: Quality,
        params: int,
        bytes_on_disk: int,
        p50_s: float,
        p99_s: float,
        flops: int | None = None,
        lesson: str | None = None,
        note: str = "",
    ) -> Row:
        """Add a row, or replace the one of the same name, which keeps its place. Raises OSError, ValueError."""
        if not name:
            raise ValueError("name is empty")
        numbers = {"params": params, "bytes_on_disk": bytes_on_disk, "p50_s": p50_s, "p99_s": p99_s}
        for what, number in numbers.items():
            if not (math.isfinite(number) and number >= 0):
                raise ValueError(f"{what} must be a number of at least 0, got {number}")
        estimates = {q: getattr(quality, q) for q in QUALITIES}
        origin = {"machine": this_machine().fingerprint, "added": time.strftime("%Y-%m-%d %H:%M")}
        row = Row(name, **estimates, **numbers, flops=flops, lesson=lesson, note=note, **origin)
        with self._locked():
            rows = self._read()
            rows[name] = row
            self._write(rows)
        return row

    def measure(self, name: str, model, x, y, *, calls: int = 300, budget_s: float = 1.0, **extra) -> Row:
        """Add a torch module, measured: quality on x, y; the size of its saved state; latency of one example.

        x: tensor, shape (n, ...); y: true classes, shape (n,). The module maps a batch to scores of shape (n, classes).
        `extra` goes to `add`: lesson, note. The module's training flags are left as they were.
        """
        from coursekit.measure.trial import try_out

        return self.add(name, **try_out(model, x, y, calls=calls, budget_s=budget_s), **extra)

    def remove(self, name: str) -> None:
        """Take a row out. Raises KeyError where there is none of this name."""
        with self._locked():
            rows = self._read()
            del rows[name]
            self._write(rows)

    def table(self) -> Table:
        """All rows, as text and as HTML."""
        return Table(list(self))

    def pareto(self, x: str = "p50_s", y: str = "accuracy") -> set[str]:
        """Names of the rows that no other beats, where a small `x` and a large `y` are good.

        x, y: names of columns. Raises ValueError for others. Rows without a value (flops) are left out.
        """
        return pareto_front(list(self), x, y)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._read().values())

    def __len__(self) -> int:
        return len(self._read())

    def __getitem__(self, name: str) -> Row:
        rows = self._read()
        if name not in rows:
            raise KeyError(f"no row {name!r}; there are {', '.join(map(repr, rows)) or 'none yet'}")
        return rows[name]

    def __str__(self) -> str:
        return str(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_() if len(self) else f"<p>{escape(str(self.path))} has no rows yet</p>"

    def _locked(self):
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{self.path}.lock", timeout=30)

    def _read(self) -> dict[str, Row]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError as error:
            return self._set_aside(error)
        try:
            return {facts["name"]: _row(facts) for facts in json.loads(text)["rows"]}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            return self._set_aside(error)

    def _set_aside(self, error: Exception) -> dict:
        aside = self.path.with_suffix(".broken")
        number = 1
        while aside.exists():
            number += 1
            aside = self.path.with_suffix(f".{number}.broken")
        self.path.rename(aside)
        warnings.warn(f"{self.path} cannot be read ({error}); it was set aside as {aside}", RuntimeWarning, 4)
        return {}

    def _write(self, rows: Mapping[str, Row]) -> None:
        facts = [asdict(row) for row in rows.values()]
        write_atomically(self.path, json.dumps({"rows": facts}, indent=1, ensure_ascii=False))


def pareto_front(rows: list[Row], x: str, y: str) -> set[str]:
    """As `Ledger.pareto`, for rows in hand: small `x` and large `y` are good."""
    points = [(row.name, value(row, x), value(row, y)) for row in rows]
    points = [point for point in points if None not in point]
    return {
        name
        for name, px, py in points
        if not any(qx <= px and qy >= py and (qx, qy) != (px, py) for _, qx, qy in points)
    }


def value(row: Row, column: str) -> float | None:
    """A number of a row, the middle of the interval where it has one. Raises ValueError for an unknown column."""
    numbers = (*QUALITIES, "params", "bytes_on_disk", "p50_s", "p99_s", "flops")
    if column not in numbers:
        raise ValueError(f"a column must be one of {', '.join(numbers)}, got {column!r}")
    found = getattr(row, column)
    return found.value if isinstance(found, Estimate) else found


def _row(facts: dict) -> Row:
    return Row(**{key: Estimate(**item) if key in QUALITIES else item for key, item in facts.items()})
