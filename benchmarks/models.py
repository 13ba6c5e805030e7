"""The course's models: parameters, accuracy on the test data over several seeds, and training time.

    python benchmarks/models.py [--seeds 5]

Every model is trained here, none is read from the store. Seconds are wall-clock time of one thread.
"""

import argparse
from statistics import median

from rich.console import Console
from rich.table import Table

from coursekit.models import MODELS, RECIPES, SOURCES, accuracy, train


def measure(name: str, seed: int, split) -> tuple[float, float]:
    """Train one model; return its test accuracy in per cent and the seconds its training took."""
    model = MODELS[name](seed=seed)
    history = train(model, split, seed=seed, **RECIPES[name])
    return 100 * accuracy(model, split.x_test, split.y_test), history.seconds


def row(name: str, seeds: int, split) -> list[str]:
    """One line of the table."""
    percent, seconds = zip(*(measure(name, seed, split) for seed in range(seeds)), strict=True)
    parameters = sum(p.numel() for p in MODELS[name]().parameters())
    figures = [f"{f(percent):.2f}" for f in (min, median, max)]
    return [
        name,
        f"{parameters:,}",
        *figures,
        f"{median(seconds):.1f}",
        " ".join(f"{p:.2f}" for p in percent),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="train each model with seeds 0 to N-1")
    seeds = parser.parse_args().seeds
    if seeds < 1:
        parser.error(f"--seeds is {seeds}; at least 1 is needed")
    columns = ["parameters", "min %", "median %", "max %", "training s"]
    table = Table("model", *columns, "each seed %")
    for column in table.columns[1:6]:
        column.justify = "right"
    for name in MODELS:
        try:
            table.add_row(*row(name, seeds, SOURCES[name]()))
        except ModuleNotFoundError as error:
            print(f"{name} is left out: {error}")
    Console().print(table)


if __name__ == "__main__":
    main()
