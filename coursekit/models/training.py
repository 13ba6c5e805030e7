"""Training a classifier, and seeing how good it is."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..data import Split, Words, batches
from .rng import one_thread, seeded


@dataclass(frozen=True)
class History:
    """What happened in a training.

    Attributes
    ----------
    loss : tuple of float
        Mean loss of each epoch over its batches as they were trained on; in `train` the cross-entropy, in nats.
    seconds : float
        Wall-clock time of all epochs.
    """

    loss: tuple[float, ...]
    seconds: float


def train(
    model: nn.Module,
    split: Split | Words,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float = 0.0,
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Train a classifier in place on a split's training part, and leave it in evaluation mode.

    AdamW (Loshchilov and Hutter 2019) on the cross-entropy, with the one-cycle schedule (Smith and Topin 2018).
    On the CPU, equal models and arguments give equal weights, bit for bit, however many threads torch has: the
    training uses one, because several would add up the gradients in another order. torch's global
    generator and its number of threads are the same afterwards.

    Parameters
    ----------
    model : nn.Module
        Takes images or words as the split has them and returns logits of shape (n, classes).
    split : Split or Words
        Its test part is not looked at.
    epochs : int
        Times that each image is seen, at least 1.
    batch_size : int
        Images in a step, at least 1.
    lr : float
        The highest learning rate of the cycle, above 0.
    weight_decay : float
        AdamW's decay; each step shrinks the weights by the learning rate times this share.
    seed : int
        Chooses the order of the images, and the choices of layers such as dropout.
    progress : bool or None
        True shows a progress bar.

    Raises
    ------
    ValueError
        If epochs, batch_size or lr is too small, or if the split has no training images.
    """
    if len(split.x_train) == 0:
        raise ValueError("the split has no training images")
    return fit(
        model,
        split.x_train,
        split.y_train,
        _cross_entropy,
        epochs=epochs,
        batch_size=batch_size,
        lr=lr,
        weight_decay=weight_decay,
        seed=seed,
        progress=progress,
    )


def fit(
    model: nn.Module,
    x,
    y,
    loss: Callable,
    *,
    epochs: int,
    batch_size: int,
    lr: float,
    weight_decay: float = 0.0,
    seed: int = 0,
    progress: bool | None = None,
) -> History:
    """Train a model in place on any loss, as `train` does on the cross-entropy and with the arguments of `train`.

    Parameters
    ----------
    x, y : ndarray or Tensor, shape (n, …)
        What the model takes, and what the loss compares with: labels, or numbers of rows in a table of its own.
    loss : callable
        ``loss(model, x, y)`` with a batch on the model's device; returns a tensor with one number, the mean over the
        batch. The parameters of an nn.Module are trained along with the model's.
    """
    if epochs < 1 or batch_size < 1 or lr <= 0:
        raise ValueError(f"epochs={epochs}, batch_size={batch_size} and lr={lr} must be positive")
    if len(x) == 0:
        raise ValueError("there is nothing to train on: x is empty")
    trained = [*model.parameters(), *(loss.parameters() if isinstance(loss, nn.Module) else ())]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay, fused=True)
    steps = epochs * -(-len(x) // batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
    model.train()
    losses = []
    start = perf_counter()
    with seeded(seed), one_thread(), torch.enable_grad(), _bar(epochs, progress) as advance:
        for epoch in range(epochs):
            order = batches(x, y, batch_size, seed=(seed, epoch))
            losses.append(_train_epoch(model, order, loss, optimizer, schedule) / len(x))
            advance()
    model.eval()
    return History(tuple(losses), perf_counter() - start)


def predict(model: nn.Module, x, batch_size: int = 500) -> np.ndarray:
    """Return the most likely class of each image.

    Parameters
    ----------
    model : nn.Module
        Evaluated in evaluation mode; the mode of each of its parts is put back.
    x : ndarray or Tensor, shape (n, …)
        Images or words, as the model takes them; n may be 0.
    batch_size : int
        Images at a time.

    Returns
    -------
    ndarray, int64, shape (n,)
    """
    device = device_of(model)
    labels = [np.empty(0, dtype=np.int64)]
    with evaluating(model), torch.no_grad():
        for images, _ in batches(x, np.empty(len(x)), batch_size):
            labels.append(model(images.to(device)).argmax(dim=1).cpu().numpy())
    return np.concatenate(labels)


def accuracy(model: nn.Module, x, y) -> float:
    """Return the share of images whose most likely class is the label, from 0 to 1.

    ``x`` as in `predict`; ``y``, ndarray or Tensor of shape (n,), holds the labels. ValueError if x and y differ
    in length or are empty.
    """
    if len(x) != len(y) or len(y) == 0:
        raise ValueError(f"x has {len(x)} images and y {len(y)} labels; wanted as many of both, at least 1")
    return float(np.mean(predict(model, x) == np.asarray(y)))


def _cross_entropy(model, x, y) -> torch.Tensor:
    return F.cross_entropy(model(x), y)


def _train_epoch(model, order, loss, optimizer, schedule) -> float:
    """Take one step for each batch; return the sum of the images' losses."""
    device = device_of(model)
    total = 0.0
    for x, y in order:
        batch_loss = loss(model, x.to(device), y.to(device))
        optimizer.zero_grad()
        batch_loss.backward()
        optimizer.step()
        schedule.step()
        total += batch_loss.item() * len(x)
    return total


def device_of(model: nn.Module) -> torch.device:
    """Where a model's parameters are; the CPU where it has none."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; each part's own mode after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextmanager
def _bar(epochs: int, progress: bool | None):
    if not progress:
        yield lambda: None
        return
    from rich.progress import Progress

    with Progress() as bar:
        task = bar.add_task("training", total=epochs)
        yield lambda: bar.advance(task)
