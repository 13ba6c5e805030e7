"""What each technique of compression costs and gains: ``python benchmarks/compress.py [--output FILE]``.

One table for each model, a line for each technique: accuracy on the test images with its interval, how far that is from
the dense model's on the same images (McNemar's test), bytes of the saved state, and the time of a call with 1 and with
64 images beside the dense model in torch float32, in interleaved rounds on one thread with 95 % intervals.

To add a row, write a function in a file ``benchmarks/techniques_<topic>.py``; it is found by its name::

    from techniques import Foreign, technique

    @technique("int8, static", models=("cnn", "mlp"))     # all of techniques.MODELS unless named
    def int8(model, task):                                # the trained model, in evaluation mode; leave it as it is
        return quantize(model, calibration=task.split.x_train[:256])

    @technique("int8, ONNX Runtime")                      # another runtime: a function and the size of its file
    def rival(model, task):
        return Foreign(lambda x: session.run(None, {"x": x.numpy()})[0], path.stat().st_size)

``task.tune(model, epochs)`` trains on, ``task.quick`` asks for as little work as will do. A technique whose package is
missing is left out, with a line that says so; import such packages inside the function.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from techniques import MODELS, Foreign, Task, load_all
from torch import nn

from coursekit.data import mnist
from coursekit.measure import compare, mcnemar, quality
from coursekit.measure.text import seconds, si
from coursekit.measure.trial import saved_bytes
from coursekit.models import trained

DENSE = "torch float32"
BATCHES = (1, 64)


@dataclass(frozen=True)
class Row:
    """A line of the table.

    Attributes:
        accuracy, points: value and the ends of its 95 % interval; points are those lost or won against the dense model.
        different: whether McNemar's test tells them apart.
        seconds, speed: by batch size; the median, and times as fast as the dense model with its interval.
    """

    model: str
    technique: str
    accuracy: tuple[float, float, float]
    points: tuple[float, float, float]
    different: bool
    bytes_on_disk: int
    seconds: dict[int, float]
    speed: dict[int, tuple[float, float, float]]


def made(model: nn.Module, task: Task, techniques: dict, say: Callable[[str], None]) -> dict:
    """Each technique's result by name, the dense model first; what cannot be made is said and left out."""
    found: dict[str, nn.Module | Foreign] = {DENSE: model}
    for name, (make, models) in techniques.items():
        if task.name not in models:
            continue
        try:
            new = make(model, task)
        except ModuleNotFoundError as error:
            say(f"{name} is left out: {error}")
            continue
        found[name] = new.eval() if isinstance(new, nn.Module) else new
    return found


def logits(candidate: nn.Module | Foreign, x: torch.Tensor) -> torch.Tensor:
    """Of all images, in batches."""
    call = candidate.call if isinstance(candidate, Foreign) else candidate
    with torch.inference_mode():
        return torch.cat([torch.as_tensor(call(part)) for part in x.split(250)])


def size(candidate: nn.Module | Foreign) -> int:
    return candidate.bytes_on_disk if isinstance(candidate, Foreign) else saved_bytes(candidate)


def times(candidates: dict, x: torch.Tensor, budget_s: float, clock: str):
    """The comparison of all candidates on one batch."""
    calls = {name: c.call if isinstance(c, Foreign) else c for name, c in candidates.items()}
    with torch.inference_mode():
        return compare({name: lambda f=f: f(x) for name, f in calls.items()}, budget_s=budget_s, clock=clock)


def measured(task: Task, candidates: dict, budget_s: float, clock: str) -> list[Row]:
    """The rows of one model."""
    x, y = torch.as_tensor(task.split.x_test), task.split.y_test
    said = {name: logits(candidate, x).argmax(1).numpy() for name, candidate in candidates.items()}
    timed = {n: times(candidates, x[:n].clone(), budget_s, clock) for n in BATCHES}
    rows = []
    for name, candidate in candidates.items():
        accuracy, points = quality(y, said[name]).accuracy, mcnemar(y, said[name], said[DENSE])
        ratios = {n: timed[n].ratio(name, DENSE) for n in BATCHES}
        rows.append(
            Row(
                task.name,
                name,
                (accuracy.value, accuracy.low, accuracy.high),
                (100 * points.value, 100 * points.low, 100 * points.high),
                points.different,
                size(candidate),
                {n: timed[n][name].median for n in BATCHES},
                {n: (r.median, r.low, r.high) for n, r in ratios.items()},
            )
        )
    return rows


def table(rows: list[Row]) -> Table:
    """One model's rows."""
    first = rows[0]
    columns = ["accuracy %", "points", "on disk", "smaller"]
    columns += [f"{what} {n}" for n in BATCHES for what in ("time, batch", "times as fast,")]
    made_of = Table("technique", *columns, title=first.model)
    for column in made_of.columns[1:]:
        column.justify = "right"
    for row in rows:
        value, low, high = (100 * part for part in row.accuracy)
        points = "" if row is first else f"{row.points[0]:+.1f}{'' if row.different else ' (not different)'}"
        cells = [f"{value:.1f} ({low:.1f} to {high:.1f})", points, si(row.bytes_on_disk, "B")]
        cells.append(f"{first.bytes_on_disk / row.bytes_on_disk:.2f}x")
        for n in BATCHES:
            middle, least, most = row.speed[n]
            speed = "1" if row is first else f"{middle:.2f} ({least:.2f} to {most:.2f})"
            cells += [seconds(row.seconds[n]), speed]
        made_of.add_row(row.technique, *cells)
    return made_of


def _arguments(argv, techniques: dict) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), metavar="MODEL")
    parser.add_argument("--only", nargs="+", metavar="WORD", help="techniques whose names hold one of these")
    parser.add_argument("--budget", type=float, default=3.0, help="seconds for each timing (%(default)s)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="of one thread (%(default)s)"
    )
    parser.add_argument("--quick", action="store_true", help="train and time little: a trial of the script")
    parser.add_argument("--output", type=Path, metavar="FILE", help="keep the figures, as JSON")
    arguments = parser.parse_args(argv)
    if arguments.budget <= 0:
        parser.error("--budget must be above 0")
    if arguments.only and not _only(techniques, arguments.only):
        parser.error(f"no technique of {', '.join(arguments.only)}; there are {', '.join(techniques)}")
    return arguments


def _only(techniques: dict, words: list[str] | None) -> dict:
    if not words:
        return techniques
    return {name: entry for name, entry in techniques.items() if any(word in name for word in words)}


def main(argv: list[str] | None = None) -> None:
    techniques = load_all()
    arguments = _arguments(argv, techniques)
    console, split, rows = Console(), mnist(), []
    torch.set_num_threads(1)
    for name in arguments.models:
        task = Task(name, split, arguments.quick)
        candidates = made(trained(name, split=split), task, _only(techniques, arguments.only), console.print)
        found = measured(task, candidates, 0.05 if arguments.quick else arguments.budget, arguments.clock)
        console.print(table(found))
        rows += found
        if arguments.output:  # after each model, so that nothing measured is lost
            figures = {"made by": "python benchmarks/compress.py", "rows": [asdict(row) for row in rows]}
            arguments.output.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
