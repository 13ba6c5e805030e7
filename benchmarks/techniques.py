"""The list of what ``benchmarks/compress.py`` compares, and the decorator that puts a technique on it.

Each lesson's rows stand in a file of their own, ``techniques_*.py``, found by its name.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import torch
from torch import nn

from coursekit.data import Split
from coursekit.models import RECIPES, train

MODELS = ("cnn", "mlp", "lenet300")


@dataclass(frozen=True)
class Task:
    """What a technique is given besides the model.

    Attributes:
        name: of the course's model.
        split: its data; the test part is for the benchmark alone.
        quick: whether to train as little as will do: the table is then only a trial of the script.
        seed: for whatever is drawn.
    """

    name: str
    split: Split
    quick: bool
    seed: int = 0

    def tune(self, model: nn.Module, epochs: int = 8, lr: float | None = None) -> nn.Module:
        """Train on, in place, at a third of the recipe's rate unless another is given; one epoch where quick."""
        recipe = dict(RECIPES[self.name])
        recipe |= {"epochs": 1 if self.quick else epochs, "lr": lr or recipe["lr"] / 3}
        train(model, self.split, seed=self.seed, **recipe)
        return model


@dataclass(frozen=True)
class Foreign:
    """What is no torch module: a session of another runtime.

    Attributes:
        call: images as a float32 tensor of shape (n, 1, 28, 28) to logits of shape (n, 10), tensor or ndarray.
        bytes_on_disk: of its file.
    """

    call: Callable[[torch.Tensor], object]
    bytes_on_disk: int


Make = Callable[[nn.Module, Task], "nn.Module | Foreign"]
TECHNIQUES: dict[str, tuple[Make, tuple[str, ...]]] = {}


def technique(name: str, *, models: tuple[str, ...] = MODELS) -> Callable[[Make], Make]:
    """Put a function (trained model, task) -> module on the list. ValueError where the name or a model is wrong.

    The function leaves the model as it is. One that raises ModuleNotFoundError is left out, with a line that says so.
    """
    if name in TECHNIQUES:
        raise ValueError(f"there is a technique {name!r} already")
    if not set(models) <= set(MODELS):
        raise ValueError(f"models must be some of {', '.join(MODELS)}; got {', '.join(models)}")

    def add(make: Make) -> Make:
        TECHNIQUES[name] = make, models
        return make

    return add


def load_all() -> dict[str, tuple[Make, tuple[str, ...]]]:
    """The list, after every file of rows was imported."""
    for path in sorted(Path(__file__).parent.glob("techniques_*.py")):
        import_module(path.stem)
    return TECHNIQUES
