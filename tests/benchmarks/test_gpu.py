"""The benchmark for GPUs without one: the CPU's kernels stand in for CUDA's, and a list of numbers for the clock."""

import gpu
import numpy as np
import pytest
import torch
from gpu_clock import Ceilings, Timing

from coursekit.kernels import cpu
from coursekit.kernels.contract import Case
from coursekit.kernels.ops import OPS

CEILINGS = Ceilings(1e12, {"float32": 5e13})
SMALL = Case("small", "benchmark", {"...": (4,), "N": 16})


class Clock:
    def race(self, calls, budget_s):
        for call in calls.values():
            call()
        return {name: Timing([n * 1e-6, n * 2e-6, n * 3e-6]) for n, name in enumerate(calls, 1)}


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch):
    monkeypatch.setattr(gpu, "DEVICE", "cpu")
    monkeypatch.setattr(gpu, "cuda", cpu)
    monkeypatch.setattr(gpu, "COMPILED", {})


def test_every_kernel_that_stands_in_is_right():
    ops = [OPS[name] for name in ("matmul", "layer_norm", "reduce", "embedding")]
    found = gpu.check_all(ops, seed=1)
    assert not found["wrong"]
    assert len(found["right"]) > 100


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda out: out.mul_(1.01), "off by"),
        (lambda out: out[0].fill_(torch.nan), "nan or infinity"),
        (lambda out: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_wrong_kernel_is_found(spoil, words):
    def wrong(*arrays, out, **options):
        cpu.rms_norm(*arrays, out=out, **options)
        spoil(out)

    assert words in gpu.check(OPS["rms_norm"], wrong, SMALL, "float32", seed=2)
    assert not gpu.check(OPS["rms_norm"], cpu.rms_norm, SMALL, "float32", seed=2)


def test_what_is_not_written_is_found():
    wrong = gpu.check(OPS["rms_norm"], lambda *arrays, out, **options: None, SMALL, "float32", seed=3)
    assert "nan" in wrong


def test_a_race_and_its_table():
    rows = gpu.race(OPS["rms_norm"], SMALL, "float32", Clock(), CEILINGS, 4, 1.0)
    by_name = {row["version"]: row for row in rows}
    assert list(by_name) == ["torch", *cpu.rungs("rms_norm")]
    ours = by_name["rms_norm"]
    assert ours["public"]
    np.testing.assert_allclose(ours["speed"]["torch"], [1 / len(rows)] * 3)
    cost = OPS["rms_norm"].cost(SMALL.sizes)
    np.testing.assert_allclose(ours["share of the ceiling"], cost.bytes / 1e12 / (len(rows) * 2e-6))
    found = {
        "machine": {"device": "Some GPU", "driver": "13.0"}, "date": "2026-01-02", "seed": 4, "right": ["a"],
        "wrong": {"b": "off"}, "rows": rows, "left out": [], "ceilings": {"copy": 1e12, "peak": {"float32": 5e13}},
    }  # fmt: skip
    table = gpu.markdown(found)
    assert table.startswith("# Some GPU")
    assert "driver 13.0" in table
    assert "1 right, 1 wrong" in table
    assert table.count("`rms_norm`") == 1
    assert "Wrong: b: off" in table


def test_what_does_not_fit_the_time_is_listed_and_what_fails_is_too(monkeypatch):
    def empty():
        return {"seed": 1, "wrong": {}, "rows": [], "left out": []}

    late, failed = empty(), empty()
    gpu.race_all([OPS["rms_norm"]], Clock(), CEILINGS, 0.0, late)
    assert len(late["left out"]) == len(OPS["rms_norm"].cases_for("benchmark"))
    monkeypatch.setattr(gpu, "race", lambda *arguments: 1 / 0)
    monkeypatch.setattr(gpu, "check", lambda *arguments: "")
    gpu.race_all([OPS["rms_norm"]], Clock(), CEILINGS, float("inf"), failed)
    assert all("ZeroDivisionError" in words for words in failed["wrong"].values())
    assert len(failed["wrong"]) == len(late["left out"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize(("names", "words"), [([], "no GPU"), (["foo"], "no CUDA kernel named foo")])
def test_without_a_gpu_a_sentence_says_so(names, words, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu.py", *names])
    with pytest.raises(SystemExit, match=words):
        gpu.main()
