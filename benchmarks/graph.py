"""A perceptron trained on a computation graph, beside torch: ``python benchmarks/graph.py [--json FILE]``.

The MLP 784-128-10 of the course, on MNIST. Both start from torch's own initial weights and see the same batches in the
same order, and Adam has torch's defaults. Printed are the accuracy of both with its interval, how far their losses are
apart, the time of a step in interleaved rounds on one thread, the parts of ours, and what each pass leaves of the graph
and of its memory; last, what recomputation saves in a deep network, where there is more to save.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from coursekit import graph
from coursekit.data import Split, batches, mnist
from coursekit.graph import Graph, Program, Trainer, perceptron, plan
from coursekit.kernels import cpu
from coursekit.measure import Comparison, compare, mcnemar, quality
from coursekit.measure.text import binary, seconds, si, text_table
from coursekit.models import mlp, predict

RATE = 1e-3
FIRST = 20
"""Steps over which the losses are compared: later, rounding errors have grown by themselves."""
STAGES: dict[str, Callable[[Graph], Graph]] = {
    "traced, with gradient": lambda g: g,
    "simplify": graph.simplify,
    "fold_constants": graph.fold_constants,
    "common_subexpressions": graph.common_subexpressions,
    "dead_code": graph.dead_code,
    "fuse": graph.fuse,
}


def flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def trainer_for(model: torch.nn.Module, **options) -> Trainer:
    """A trainer that starts from the weights of a torch model."""
    return Trainer(perceptron, [p.detach().numpy() for p in model.parameters()], rate=RATE, **options)


def torch_step(model: torch.nn.Module, fused: bool = False) -> Callable:
    """A function (x, labels) -> loss that makes one step of torch, eager."""
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=fused or None)

    def step(x, labels):
        loss = functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def torch_losses(model: torch.nn.Module, split: Split, epochs: int, size: int) -> list[float]:
    step, losses = torch_step(model), []
    for epoch in range(epochs):
        losses += [step(x, y) for x, y in batches(flat(split.x_train), split.y_train, size, seed=(0, epoch))]
    return losses


def training(split: Split, epochs: int, size: int) -> dict:
    """Train both; accuracy with intervals, McNemar's test of the difference, and how far the losses are apart."""
    model = mlp(seed=0)
    trainer = trainer_for(model)
    ours = trainer.fit(flat(split.x_train), split.y_train, epochs=epochs, batch_size=size)
    theirs = torch_losses(model, split, epochs, size)
    mine, torchs = trainer.predict(flat(split.x_test)), predict(model, split.x_test)
    apart = np.abs(np.divide(ours, theirs) - 1)
    return {
        "epochs": epochs,
        "accuracy": {"graph": estimate(split, mine), "torch": estimate(split, torchs)},
        "difference": str(mcnemar(split.y_test, mine, torchs)),
        "losses apart, first steps": float(apart[:FIRST].max()),
        "losses apart, all steps": float(apart.max()),
        "last loss": {"graph": ours[-1], "torch": theirs[-1]},
    }


def estimate(split: Split, predicted: np.ndarray) -> list[float]:
    found = quality(split.y_test, predicted).accuracy
    return [found.value, found.low, found.high]


def step_times(split: Split, size: int, budget: float, clock: str) -> Comparison:
    """One step of each, interleaved: torch with its default Adam and the fused one, ours with and without passes."""
    x, labels = flat(split.x_train)[:size], split.y_train[:size]
    tensors = torch.from_numpy(x), torch.from_numpy(labels)
    plain, fused = torch_step(mlp()), torch_step(mlp(), fused=True)
    ours, unchanged = trainer_for(mlp()), trainer_for(mlp(), passes=lambda g: g)
    interpreted = ours.graph(x, labels)
    candidates = {
        "torch eager": lambda: plain(*tensors),
        "torch eager, fused Adam": lambda: fused(*tensors),
        "graph": lambda: ours.step(x, labels),
        "graph, no passes": lambda: unchanged.step(x, labels),
        "graph, interpreted, no Adam": lambda: interpreted(x, labels, *ours.parameters),
    }
    return compare(candidates, budget_s=budget, clock=clock)


def parts(split: Split, size: int, budget: float, clock: str) -> Comparison:
    """What a step of ours is made of."""
    x, labels = flat(split.x_train)[:size], split.y_train[:size]
    trainer = trainer_for(mlp())
    program = trainer.program(x, labels)
    big = np.ascontiguousarray(x.T[:128, :]), np.zeros((128, 784), np.float32)
    hidden = np.zeros((size, 128), np.float32)
    weight, bias = trainer.parameters[:2]
    return compare(
        {
            "step": lambda: trainer.step(x, labels),
            "loss and gradients": program.run,
            "Adam": trainer._adam,
            "x · weightᵀ of the first layer": lambda: cpu.linear(x, weight, bias, out=hidden),
            "its gradient of the weight": lambda: cpu.matmul(big[0], x, out=big[1]),
        },
        budget_s=budget,
        clock=clock,
    )


def stages(made: Graph) -> list[dict]:
    """Nodes, kernels, costs and memory after each pass."""
    found = []
    for name, apply in STAGES.items():
        made = apply(made)
        found.append(stage(name, made))
    return found


def deep(layers: int = 16, width: int = 256, batch: int = 512) -> list[dict]:
    """The same for the gradient of a deep network of elementwise layers, with activations kept and recomputed."""

    def loss(x, *parameters):
        for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
            x = x + graph.gelu(x * weight + bias)
        return x.mean()

    row = graph.Spec((width,), "float32")
    traced = graph.trace(loss, graph.Spec((batch, width), "float32"), *[row] * (2 * layers))
    kept = graph.optimise(graph.gradient(traced, range(1, 2 * layers + 1)))
    sums = [node for node in kept.nodes if node.operation == "fused" and node.shape == (batch, width)]
    every_fourth = set(sums[:layers]) - set(sums[:layers:4])
    return [
        stage("all activations kept", kept),
        stage("recompute", graph.recompute(kept)),
        stage("recompute, each fourth kept", graph.recompute(kept, every_fourth.__contains__)),
    ]


def stage(name: str, made: Graph) -> dict:
    planned, cost = plan(made), made.cost
    return {
        "pass": name,
        "nodes": len(made.nodes),
        "kernels": Program(made).calls,
        "flops": cost.flops,
        "bytes moved": cost.bytes,
        "memory without plan": planned.unplanned,
        "peak": planned.peak,
        "bound": planned.bound,
    }


def print_stages(found: list[dict]) -> None:
    header = ["after", "nodes", "kernels", "FLOP", "bytes moved", "each its own", "planned", "at least"]
    rows = [
        [
            row["pass"], str(row["nodes"]), str(row["kernels"]), si(row["flops"]), binary(row["bytes moved"]),
            binary(row["memory without plan"]), binary(row["peak"]), binary(row["bound"]),
        ]
        for row in found
    ]  # fmt: skip
    print(text_table(header, rows))


def print_training(found: dict) -> None:
    for name, (value, low, high) in found["accuracy"].items():
        loss = found["last loss"][name]
        print(f"{name:6} {value:.2%} of the test images ({low:.2%} to {high:.2%}), last loss {loss:.4f}")
    print(found["difference"])
    first, whole = found["losses apart, first steps"], found["losses apart, all steps"]
    print(f"losses are apart by {first:.1e} of themselves in the first {FIRST} steps, by {whole:.1e} in all")


def print_times(comparison: Comparison, rival: str) -> None:
    rows = []
    for name, timing in comparison.timings.items():
        ratio = comparison.ratio(name, rival)
        spread = f"{seconds(timing.low)} to {seconds(timing.high)}"
        rows.append(
            [
                name,
                seconds(timing.median),
                spread,
                f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})",
            ]
        )
    print(text_table(["a step", "median", "quartiles", f"times as fast as {rival}"], rows))


def saved(comparison: Comparison) -> dict:
    return {name: [t.median, t.low, t.high] for name, t in comparison.timings.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--epochs", type=int, default=10, help="for the comparison of accuracies (%(default)s)"
    )
    parser.add_argument("--batch", type=int, default=64, help="images in a step (%(default)s)")
    parser.add_argument("--budget", type=float, default=5.0, help="seconds for each timing (%(default)s)")
    parser.add_argument(
        "--clock", choices=("wall", "cpu"), default="wall", help="of one thread (%(default)s)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    split = mnist()
    found = training(split, arguments.epochs, arguments.batch)
    print(
        f"{split.summary()}; MLP 784-128-10, Adam, batches of {arguments.batch}, {arguments.epochs} epochs\n"
    )
    print_training(found)
    times = step_times(split, arguments.batch, arguments.budget, arguments.clock)
    print()
    print_times(times, "torch eager")
    inside = parts(split, arguments.batch, arguments.budget / 2, arguments.clock)
    print()
    print_times(inside, "step")
    x, labels = flat(split.x_train)[: arguments.batch], split.y_train[: arguments.batch]
    memory = stages(trainer_for(mlp()).graph(x, labels))
    print()
    print_stages(memory)
    lean = deep()
    print()
    print_stages(lean)
    if arguments.json:
        figures = {
            "training": found,
            "times": saved(times),
            "parts": saved(inside),
            "passes": memory,
            "deep": lean,
        }
        arguments.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
