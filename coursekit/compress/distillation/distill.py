"""Distillation: a small model is trained to say what a large one says, not only which answer is right."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ...data import Split, Words
from ...models.rng import seeded
from ...models.training import device_of, evaluating, fit
from ..layers import WEIGHTED, check_model, copied
from ..report import LayerChange, Report, add_report, state_bytes
from .teaching import (
    NO_LABEL,
    _check_temperature,
    _check_weight,
    attention_loss,
    attention_map,
    feature_loss,
    soft_loss,
    task_loss,
)

BATCH = 500


@dataclass(frozen=True, repr=False)
class Distillation(Report):
    """A `Report` with the training's course.

    Attributes
    ----------
    losses : tuple of float
        Mean of what was minimised, over each epoch.
    seconds : float
        Wall-clock time of the epochs, without what the teacher said before them.
    """

    losses: tuple[float, ...] = ()
    seconds: float = 0.0


def distill(
    student: nn.Module,
    teacher: nn.Module,
    data: "Split | Words | tuple",
    *,
    epochs: int,
    batch_size: int = 64,
    lr: float = 1e-2,
    weight_decay: float = 0.0,
    temperature: float = 4.0,
    weight: float = 1.0,
    features: Mapping[str, str] | None = None,
    feature_weight: float = 1.0,
    attention: Mapping[str, str] | None = None,
    attention_weight: float = 1.0,
    keep_zeros: bool = False,
    seed: int = 0,
    progress: bool | None = None,
) -> nn.Module:
    """Train a copy of the student on labels and on a teacher's outputs.

    Minimised is `task_loss` + λ `soft_loss`, and where layers are named also `feature_weight` times their
    `feature_loss` and `attention_weight` times their `attention_loss`, all from the first step on (FitNets trains on
    features first, and then on outputs). The training is that of `models.train`, deterministic on the CPU: with
    ``weight=0``, all labels and no layers, its weights are those of `models.train`, bit for bit.

    Parameters
    ----------
    student : nn.Module
        Returns logits of shape (n, classes). Stays as it was.
    teacher : nn.Module
        Returns logits of the same shape; any module, a quantised one, too. Evaluated, never trained.
    data : Split, Words, or (x, y)
        Training data. Of a split its training part; of a pair x of shape (n, …) and y, int64 of shape (n,), with -1
        where there is no label. y may be None: no labels at all.
    epochs, batch_size, lr, weight_decay, seed, progress
        As in `models.train`.
    temperature : float
        T, above 0: both models' logits are divided by it.
    weight : float
        λ, at least 0.
    features, attention : mapping of str to str, or None
        Name of a layer of the student -> name of a layer of the teacher, whose outputs are compared. Where features
        differ in width, a linear projection of the student's is trained along and thrown away (A. Romero et al. 2015).
    feature_weight, attention_weight : float
        At least 0.
    keep_zeros : bool
        Leave weights of linear and convolutional layers that are exactly 0 as they are: for a pruned student.

    Returns
    -------
    nn.Module
        Trained, in evaluation mode, with a `Distillation` as its report.

    Raises
    ------
    TypeError
        If student or teacher is no module, or labels are no whole numbers.
    ValueError
        If the data are empty, a label is not a class, the outputs do not fit each other or are not finite, a layer is
        not there, a number is out of range, or there is nothing to learn from or nothing to train.
    """
    check_model(teacher)
    new = copied(student)
    _check_temperature(temperature)
    for name, value in {
        "weight": weight,
        "feature_weight": feature_weight,
        "attention_weight": attention_weight,
    }.items():
        _check_weight(name, value)
    if not any(parameter.requires_grad for parameter in new.parameters()):
        raise ValueError("the student has no parameters that can be trained")
    x, y = _examples(data)
    pairs = [_Pair("features", *names, feature_weight) for names in (features or {}).items()]
    pairs += [_Pair("attention", *names, attention_weight) for names in (attention or {}).items()]
    pairs = [pair for pair in pairs if pair.weight > 0]
    logits = _outputs(teacher, x).to(device_of(new))
    _check_outputs(new, x, y, logits)
    if not (weight > 0 or pairs or (y != NO_LABEL).any()):
        raise ValueError(
            "there is nothing to learn from: no labels, and all weights are 0; set weight above 0"
        )
    with seeded(seed):
        objective = _Objective(new, teacher, x, y, logits, temperature, weight, pairs).to(device_of(new))
    settings = {"epochs": epochs, "batch_size": batch_size, "lr": lr, "weight_decay": weight_decay}
    with _frozen_zeros(new) if keep_zeros else ExitStack():
        rows = np.arange(len(x))
        history = fit(new, x, rows, objective, seed=seed, progress=progress, **settings)
    count = f"{len(x):,} examples, {(y != NO_LABEL).sum():,} with labels"
    note = "; ".join([f"λ = {weight:g}, T = {temperature:g}, {epochs} epochs on {count}", *map(str, pairs)])
    done = Distillation("distill", _unchanged_layers(new), note, history.loss, history.seconds)
    return add_report(new, done)


def born_again(
    make: Callable[..., nn.Module],
    teacher: nn.Module,
    data: "Split | Words | tuple",
    *,
    generations: int,
    seed: int = 0,
    **settings,
) -> list[nn.Module]:
    """Self-distillation: students of one architecture, each taught by the one before it.

    T. Furlanello, Z. Lipton, M. Tschannen, L. Itti, A. Anandkumar, Born again neural networks, ICML 2018, section 3.

    Parameters
    ----------
    make : callable
        ``make(seed=k)`` returns a new, untrained model: ``models.mlp``.
    teacher : nn.Module
        Teaches the first generation.
    generations : int
        At least 1. Generation k is made and trained with the seed ``seed + k``, k from 1.
    **settings
        What `distill` takes: epochs and the others. The paper has temperature 1.

    Returns
    -------
    list of nn.Module
        All generations, the oldest first.
    """
    if generations < 1:
        raise ValueError(f"generations is {generations}; wanted at least 1")
    family = []
    for k in range(seed + 1, seed + generations + 1):
        teacher = distill(make(seed=k), teacher, data, seed=k, **settings)
        family.append(teacher)
    return family


@dataclass(frozen=True)
class _Pair:
    """A layer of the student and one of the teacher, and how their outputs are compared."""

    kind: str
    student: str
    teacher: str
    weight: float

    def __str__(self) -> str:
        return f"{self.kind} of {self.student} from {self.teacher} times {self.weight:g}"


class _Objective(nn.Module):
    """The loss of a batch, called with the student, the examples and the numbers of their rows."""

    def __init__(self, student, teacher, x, y, logits, temperature, weight, pairs):
        super().__init__()
        self.temperature, self.weight, self.pairs = temperature, weight, pairs
        self.register_buffer("labels", torch.from_numpy(y))
        self.register_buffer("logits", logits)
        self.share = float((y != NO_LABEL).mean())
        # In a tuple, so that the teacher is no part of this module, whose parameters are trained.
        self._teacher = (teacher,)
        self.projections = _projections(student, teacher, x, pairs)

    def forward(self, student: nn.Module, x: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        with _watched(student, [pair.student for pair in self.pairs], "student") as mine:
            z = student(x)
        terms = [pair.weight * self._compare(pair, mine, theirs) for pair, theirs in self._taught(x)]
        if self.share:
            terms.append(task_loss(z, self.labels[rows], self.share))
        if self.weight:
            terms.append(self.weight * soft_loss(z, self.logits[rows], self.temperature))
        return sum(terms[1:], terms[0])

    def _taught(self, x: torch.Tensor):
        """Each pair with what the teacher's layer puts out for these examples."""
        if not self.pairs:
            return []
        seen = _seen(self._teacher[0], x, [pair.teacher for pair in self.pairs], "teacher")
        return [(pair, seen[pair.teacher].to(x.device)) for pair in self.pairs]

    def _compare(self, pair: _Pair, mine: dict, theirs: torch.Tensor) -> torch.Tensor:
        if pair.kind == "attention":
            return attention_loss(mine[pair.student], theirs)
        return feature_loss(self.projections[_key(pair)](mine[pair.student]), theirs)


def _key(pair: _Pair) -> str:
    return f"{pair.student}->{pair.teacher}".replace(".", "/")  # a ModuleDict's keys have no points


def _projections(student, teacher, x, pairs) -> nn.ModuleDict:
    """For each pair of features a map from the student's width to the teacher's; nothing where they are equal."""
    one = torch.as_tensor(x[:1])
    mine = _seen(student, one, [pair.student for pair in pairs], "student")
    theirs = _seen(teacher, one, [pair.teacher for pair in pairs], "teacher")
    made = nn.ModuleDict()
    for pair in pairs:
        a, b = mine[pair.student].shape[1:], theirs[pair.teacher].shape[1:]
        if pair.kind == "features":
            made[_key(pair)] = _projection(pair, a, b)
        else:
            attention_map(mine[pair.student]), attention_map(theirs[pair.teacher])
    return made


def _projection(pair: _Pair, mine: torch.Size, theirs: torch.Size) -> nn.Module:
    if mine == theirs:
        return nn.Identity()
    if len(mine) == len(theirs) == 1:
        return nn.Linear(*mine, *theirs, bias=False)
    if len(mine) == len(theirs) == 3 and mine[1:] == theirs[1:]:
        return nn.Conv2d(mine[0], theirs[0], 1, bias=False)
    raise ValueError(
        f"features of {pair.student} have shape {tuple(mine)}, those of the teacher's {pair.teacher} {tuple(theirs)}; "
        "a projection needs vectors, or maps of the same height and width: name other layers"
    )


def _seen(model: nn.Module, x: torch.Tensor, names: list[str], whose: str) -> dict[str, torch.Tensor]:
    """What these layers put out for x, without gradients and in evaluation mode."""
    with evaluating(model), torch.no_grad(), _watched(model, names, whose) as seen:
        model(x.to(device_of(model)))
    for name in names:
        if not torch.is_tensor(seen.get(name)):
            raise ValueError(
                f"the {whose}'s {name} puts out no tensor that could be compared; name another layer"
            )
    return seen


@contextmanager
def _watched(model: nn.Module, names: list[str], whose: str):
    """A dictionary that holds what the named layers put out when the model is called inside the block."""
    parts, seen = dict(model.named_modules()), {}
    for name in names:
        if name not in parts:
            known = ", ".join(part for part in parts if part)
            raise ValueError(f"the {whose} has no layer {name!r}; it has {known or 'none'}")

    def keep(name):
        return lambda module, given, output: seen.__setitem__(name, output)

    with ExitStack() as stack:
        for name in names:
            stack.callback(parts[name].register_forward_hook(keep(name)).remove)
        yield seen


@contextmanager
def _frozen_zeros(model: nn.Module):
    """Inside the block, weights that are 0 get no gradient; AdamW then leaves them at exactly 0."""
    layers = [part for part in model.modules() if isinstance(part, WEIGHTED) and part.weight.requires_grad]
    with ExitStack() as stack:
        for layer in layers:
            mask = layer.weight.detach() != 0
            stack.callback(layer.weight.register_hook(lambda gradient, mask=mask: gradient * mask).remove)
        yield


def _examples(data) -> tuple:
    """x, and y as an int64 array with -1 where there is no label."""
    if isinstance(data, tuple):
        if len(data) != 2:
            raise ValueError(f"data must be a split or a pair (x, y); got {len(data)} things")
        x, y = data
    else:
        x, y = data.x_train, data.y_train
    if len(x) == 0:
        raise ValueError("data has no examples to train on")
    y = np.full(len(x), NO_LABEL) if y is None else np.asarray(y)
    if not np.issubdtype(y.dtype, np.integer):
        raise TypeError(f"labels must be whole numbers, int64; got {y.dtype}")
    if y.shape != (len(x),):
        raise ValueError(f"there are {len(x)} examples but labels of shape {y.shape}; wanted ({len(x)},)")
    return x, y.astype(np.int64)


def _outputs(model: nn.Module, x) -> torch.Tensor:
    """The logits for all of x, in evaluation mode."""
    device = device_of(model)
    with evaluating(model), torch.no_grad():
        parts = [model(torch.as_tensor(x[i : i + BATCH]).to(device)) for i in range(0, len(x), BATCH)]
    return torch.cat(parts).float()


def _check_outputs(student: nn.Module, x, y: np.ndarray, logits: torch.Tensor) -> None:
    mine = _outputs(student, x[:1])
    if mine.ndim != 2 or mine.shape[1:] != logits.shape[1:]:
        raise ValueError(
            f"student and teacher must have as many outputs, shape (n, classes); for one example the student has "
            f"{tuple(mine.shape)}, the teacher {(1, *logits.shape[1:])}"
        )
    if not torch.isfinite(logits).all():
        raise ValueError("the teacher's outputs hold NaN or infinity; look at its inputs and weights")
    if y.min() < NO_LABEL or y.max() >= mine.shape[1]:
        raise ValueError(
            f"labels go from {y.min()} to {y.max()}; wanted 0 to {mine.shape[1] - 1}, or -1 for no label"
        )


def _unchanged_layers(model: nn.Module) -> tuple[LayerChange, ...]:
    """All parts that save tensors of their own, as large as they were."""
    parts = [(name, part) for name, part in model.named_modules() if not list(part.children())]
    return tuple(_unchanged(name, part) for name, part in parts if state_bytes(part))


def _unchanged(name: str, part: nn.Module) -> LayerChange:
    weights = [tensor for tensor in part.parameters() if tensor.ndim > 1]
    counts = sum(w.numel() for w in weights), sum(int(torch.count_nonzero(w)) for w in weights)
    size = state_bytes(part)
    return LayerChange(name, type(part).__name__, *counts, size, size, "trained")
