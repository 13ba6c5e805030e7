"""Training on a graph: the loss and its gradient in one planned program, and the optimiser's kernel behind it."""

from collections.abc import Callable, Sequence

import numpy as np

from coursekit.graph import functions as f
from coursekit.graph.gradient import gradient
from coursekit.graph.graph import Graph
from coursekit.graph.passes import optimise
from coursekit.graph.program import Program, may_be_given
from coursekit.graph.spec import Spec
from coursekit.graph.trace import trace


def perceptron(x, *parameters):
    """Logits of a network of linear layers with ReLU between them; ``parameters`` are weight, bias, weight, bias, …"""
    for weight, bias in zip(parameters[:-2:2], parameters[1:-2:2], strict=True):
        x = f.relu(f.linear(x, weight, bias))
    return f.linear(x, *parameters[-2:])


def cross_entropy(logits, labels):
    """The mean of -log p(label) over a batch, as torch.nn.functional.cross_entropy has it.

    Args:
        logits: shape (n, classes).
        labels: shape (n,), int64, from 0 to classes - 1.
    """
    wanted = f.embedding(labels, np.eye(logits.shape[1], dtype=logits.dtype))  # 1 at the label, 0 elsewhere
    return f.mean(f.log_sum_exp(logits) - f.sum(logits * wanted, axis=1))


class Trainer:
    """Trains a model in place: ``trainer.step(x, labels)`` gives the loss before the step.

    All parameters lie one behind the other in one array, and so do their gradients: the optimiser is one call, and the
    kernels write where it reads. For each size of a batch a program is made when it first comes.

    Args:
        model: ``model(x, *parameters)`` gives logits, in functions that can be traced.
        parameters: float32 arrays; they are copied.
        optimiser: "adam" (Kingma and Ba, arXiv:1412.6980) or "sgd", with the defaults of torch.optim.
        rate: the learning rate.
        passes: what is done with the graph of loss and gradients.

    Raises:
        ValueError: there is no such optimiser.
    """

    def __init__(
        self,
        model: Callable,
        parameters: Sequence[np.ndarray],
        *,
        optimiser: str = "adam",
        rate: float = 1e-3,
        passes: Callable[[Graph], Graph] = optimise,
    ):
        if optimiser not in ("adam", "sgd"):
            raise ValueError(f"Trainer: optimiser must be 'adam' or 'sgd'; got {optimiser!r}")
        self.model, self.rate, self.passes = model, rate, passes
        self.steps = 0
        self.parameters, self._flat = _side_by_side(parameters)
        self.gradients, self._slopes = _side_by_side([np.zeros_like(p) for p in parameters])
        self._update = self._adam if optimiser == "adam" else self._sgd
        self._moments = np.zeros_like(self._flat), np.zeros_like(self._flat)
        self._programs: dict[tuple, Program] = {}
        self._forward: dict[tuple, Program] = {}

    def graph(self, x, labels) -> Graph:
        """Loss and gradients for a batch of this shape, before any pass."""
        model = self.model
        inputs = [Spec(x.shape, x.dtype.name), Spec(labels.shape, labels.dtype.name)]
        loss = trace(lambda x, labels, *p: cross_entropy(model(x, *p), labels), *inputs, *self.parameters)
        return gradient(loss, range(2, 2 + len(self.parameters)), with_value=True)

    def program(self, x, labels) -> Program:
        """What a step runs for a batch of this shape."""
        if x.shape not in self._programs:
            made = self.passes(self.graph(x, labels))
            given = dict(zip(made.inputs[2:], self.parameters, strict=True))
            for node, slope in zip(made.outputs[1:], self.gradients, strict=True):
                if node.computes and may_be_given(made, node):
                    given[node] = slope
            self._programs[x.shape] = Program(made, given)
        return self._programs[x.shape]

    def step(self, x: np.ndarray, labels: np.ndarray) -> float:
        """One step down the gradient of the loss; the loss, as it was before.

        Args:
            x: what the model takes, of one dtype with the parameters.
            labels: shape (n,), int64.
        """
        program = self._programs.get(x.shape) or self.program(x, labels)
        program.inputs[0][...] = x
        program.inputs[1][...] = labels
        program.run()
        for found, slope in zip(program.outputs[1:], self.gradients, strict=True):
            if found is not slope:
                slope[...] = found
        self.steps += 1
        self._update()
        return float(program.outputs[0])

    def _adam(self):
        from coursekit.kernels import cpu

        arrays = self._flat, self._slopes, *self._moments
        cpu.adam_step(*arrays, rate=self.rate, step=self.steps, out=(self._flat, *self._moments))

    def _sgd(self):
        self._slopes *= self._flat.dtype.type(self.rate)
        self._flat -= self._slopes

    def fit(self, x, labels, *, epochs: int, batch_size: int, seed: int = 0) -> list[float]:
        """Epochs of steps, in the batches of :func:`coursekit.data.batches` with seeds (seed, epoch); all losses."""
        from coursekit.data import batches

        return [
            self.step(images.numpy(), classes.numpy())
            for epoch in range(epochs)
            for images, classes in batches(x, labels, batch_size, seed=(seed, epoch))
        ]

    def predict(self, x: np.ndarray) -> np.ndarray:
        """The most likely class of each sample: shape (n,), int64."""
        if x.shape not in self._forward:
            made = optimise(trace(self.model, Spec(x.shape, x.dtype.name), *self.parameters))
            given = dict(zip(made.inputs[1:], self.parameters, strict=True))
            self._forward[x.shape] = Program(made, given)
        program = self._forward[x.shape]
        program.inputs[0][...] = x
        program.run()
        return program.outputs[0].argmax(axis=1)


def _side_by_side(arrays) -> tuple[list[np.ndarray], np.ndarray]:
    """Copies that lie one behind the other, and the whole of them."""
    whole = np.concatenate([np.ravel(array) for array in arrays])
    ends = np.cumsum([array.size for array in arrays])
    parts = np.split(whole, ends[:-1])
    return [part.reshape(array.shape) for part, array in zip(parts, arrays, strict=True)], whole
