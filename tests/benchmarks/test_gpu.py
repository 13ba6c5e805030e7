"""The benchmark for GPUs without one: the CPU's kernels stand in for CUDA's, and a list of numbers for the clock."""

import gpu
import numpy as np
import pytest
import torch
from gpu_clock import Ceilings, Timing

from coursekit.kernels import cpu, cuda
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
    ops = [
        OPS[name]
        for name in ("matmul", "half_matmul", "bfloat16_matmul", "layer_norm", "reduce", "embedding")
    ]
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


@pytest.mark.parametrize("name", gpu.SIXTEEN)
def test_a_product_of_16_bits_is_checked_against_float64(name):
    op, case = OPS[name], Case("deep", "benchmark", {"M": 2, "K": 4000, "N": 3})
    arrays = op.draw(np.random.default_rng(5), case.sizes)
    found = gpu._in_float64(op, [torch.from_numpy(a) for a in arrays], {})
    np.testing.assert_allclose(found, op.reference(*arrays), rtol=1e-12, atol=1e-12)

    def rounded(a, b, out):
        out.copy_(cpu.rungs(name)[name](a, b).to(gpu.SIXTEEN[name]))

    assert "off by" in gpu.check(op, rounded, case, "float32", seed=6)


@pytest.mark.parametrize("name", gpu.SIXTEEN)
def test_a_product_of_16_bits_races_torchs_own(name):
    case = Case("small", "benchmark", {"M": 4, "K": 8, "N": 8})
    ceilings = Ceilings(1e30, {"float32": 1e12, "float16": 2e12, "bfloat16": 2e12})
    rows = gpu.race(OPS[name], case, "float32", Clock(), ceilings, 4, 1.0)
    assert [row["version"] for row in rows][:2] == ["torch", gpu.CUBLAS]
    assert set(rows[-1]["speed"]) == {"torch", gpu.CUBLAS}
    np.testing.assert_allclose(rows[0]["share of the ceiling"], 2 * 4 * 8 * 8 / 2e12 / 2e-6)


def test_targets_name_what_there_is_and_are_said():
    for target in gpu.GPU_TARGETS:
        op = OPS[target.operation]
        assert target.case in {case.name for case in gpu.cases_to_race(op)}
        assert (target.version or target.operation) in cuda.rungs(target.operation)
    row = {"version": "bfloat16_matmul", "case": "square 4096", "speed": {gpu.CUBLAS: (0.6, 0.5, 0.7)}}
    (said,) = gpu.targets([row])
    assert said.startswith("Target reached: bfloat16_matmul, square 4096: 0.60 (0.50 to 0.70) times")
    (said,) = gpu.targets([{**row, "speed": {gpu.CUBLAS: (0.4, 0.3, 0.5)}}])
    assert said.startswith("Target missed")
    assert gpu.targets([{**row, "case": "square 256"}]) == []


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
