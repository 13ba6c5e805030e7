"""The measurement itself is replaced or made tiny: no verdict here depends on how fast this machine is."""

import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest

from coursekit.measure import ceiling_run, ceilings, microbench, this_machine
from coursekit.measure.ceiling_cache import load, save
from coursekit.measure.ceiling_run import Probe, climb
from coursekit.measure.machine import Cache, _listed, caches
from coursekit.measure.roofline import assemble, working_sets
from tests.measure.known import CACHES, MACHINE, RATES, SETS


@pytest.fixture
def made():
    return assemble(MACHINE, RATES, SETS, took_s=1.0)


@pytest.fixture
def stub(monkeypatch):
    calls = []

    def measure(machine, progress=None):
        calls.append(machine)
        return replace(assemble(MACHINE, RATES, SETS, 1.0), fingerprint=machine.fingerprint)

    monkeypatch.setattr(ceiling_run, "measure", measure)
    return calls


def test_the_level_that_holds_an_array_is_the_smallest_with_room(made):
    first, second = list(made.levels.values())[:2]
    assert made.holding(0) == made.holding(first.size) == first.name
    assert made.holding(first.size + 1) == second.name
    assert made.holding(1e18) == "DRAM"


def test_the_roof_has_a_slope_and_a_flat_part(made):
    assert made.peak() == 100e9
    assert made.peak("all") == 190e9
    assert made.bandwidth("L1", "all") == 300e9
    assert made.ridge() == pytest.approx(5)
    assert made.ridge("L1") == pytest.approx(0.5)
    assert made.attainable(0.5) == pytest.approx(10e9)
    assert made.attainable(50.0) == 100e9
    assert made.attainable(np.array([1.0, 100.0]), "L2", "all") == pytest.approx([150e9, 190e9])
    assert list(made.levels) == ["L1", "L2", "L3", "DRAM"]


def test_wrong_levels_and_threads_are_refused(made):
    with pytest.raises(ValueError, match="L1, L2, L3, DRAM"):
        made.bandwidth("L4")
    with pytest.raises(ValueError, match="'one' or 'all'"):
        made.peak("two")
    with pytest.raises(ValueError, match="'one' or 'all'"):
        made.attainable(1.0, threads="both")


def test_all_cores_are_never_slower_than_one():
    disturbed = RATES | {("peak", "all"): 60e9}
    assert assemble(MACHINE, disturbed, SETS, 1.0).peak("all") == 100e9


def test_a_second_call_reads_the_file_and_refresh_measures(stub, own_home):
    first = ceilings()
    assert ceilings() == first
    assert len(stub) == 1
    ceilings(refresh=True)
    assert len(stub) == 2
    assert [path.suffix for path in own_home.iterdir()] == [".json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: "[1, 2]",
        lambda text: "\x00\xff",
        lambda text: text.replace('"format": 1', '"format": 0'),
        lambda text: text.replace(this_machine().fingerprint, "000000000000"),
        lambda text: text.replace("100000000000.0", "-1"),
        lambda text: text.replace("100000000000.0", "NaN"),
        lambda text: text.replace("100000000000.0", '"fast"'),
        lambda text: text.replace('"DRAM"', '"attic"'),
    ],
)
def test_a_damaged_or_foreign_file_is_measured_anew(stub, own_home, damage):
    good = ceilings()
    (path,) = own_home.iterdir()
    path.write_text(damage(path.read_text()))
    assert ceilings() == good
    assert len(stub) == 2
    assert json.loads(path.read_text())["fingerprint"] == this_machine().fingerprint


def test_a_place_that_cannot_be_written_gives_a_warning_and_the_result(stub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSEKIT_HOME", str(tmp_path / "file" / "home"))
    with pytest.warns(RuntimeWarning, match="could not be saved"):
        assert ceilings().peak() == 100e9


def test_an_interrupted_write_leaves_the_old_file(made, tmp_path, monkeypatch):
    path = tmp_path / "c.json"
    save(path, made)
    before = path.read_text()
    monkeypatch.setattr(os, "replace", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        save(path, replace(made, took_s=2.0))
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
    assert load(path, MACHINE) == made


def test_working_sets_lie_in_their_level():
    sets = working_sets(CACHES, 1, 16 << 30)
    assert sets == {
        "L1": 16 << 10,
        "L2": 256 << 10,
        "L3": 16 << 20,
        "DRAM": 128 << 20,
    }
    two = working_sets(CACHES, 2, 16 << 30)
    assert two["L3"] == 8 << 20
    assert two["DRAM"] * 2 == 128 << 20
    assert working_sets(CACHES, 1, 100 << 20)["DRAM"] == 25 << 20
    many = working_sets(
        (Cache("L1", 48 << 10, 2), Cache("L2", 2 << 20, 2), Cache("L3", 24 << 20, 32)), 32, 64 << 30
    )
    assert many["L1"] == 12 << 10
    assert many["L3"] == 3 << 20


def test_the_best_of_medians_is_kept_and_the_climb_ends():
    rates = iter([5.0, 9.0, 7.0] + [8.0] * 1000)

    class Scripted(Probe):
        def calibrate(self):
            pass

        def rate(self):
            return next(rates)

    best = {}
    climb([Scripted("peak", "one", 1.0, None)], best, float("inf"), lambda *a: None, now=lambda: 0)
    assert best == {("peak", "one"): 9.0}


def test_a_probe_takes_the_median_and_lasts_as_long_as_it_should():
    times = iter([1e-5] + [1e-4] * 50)
    probe = Probe("peak", "one", 1000.0, lambda repeats: repeats * next(times))
    probe.calibrate()
    assert 30 <= probe.repeats <= 60
    spans = iter([2.0, 1.0, 90.0])
    assert Probe("peak", "one", 6.0, lambda repeats: next(spans)).rate() == 3.0


def test_the_loops_do_the_work_they_are_paid_for():
    k = microbench.kernels()
    exact = k.fma(3, np.float32(0.5), np.float32(1.0))
    starts = np.add.outer(np.arange(k.chains), np.arange(k.lanes)).astype(np.float64)
    wanted = starts
    for _ in range(3):
        wanted = wanted * 0.5 + 1
    assert exact == pytest.approx(wanted.sum(), rel=1e-6)
    for loop in (k.copy, k.stream):
        dst, src = microbench.buffers(100_000, k.block)
        src[:] = np.random.default_rng(0).random(len(src), np.float32)
        loop(dst, src, 2)
        assert np.array_equal(dst, src)
        assert dst.ctypes.data % 64 == src.ctypes.data % 64 == 0
        assert not np.shares_memory(dst, src)
    assert "vfmadd" in next(iter(k.fma.inspect_asm().values())) or "fma" not in this_machine().features


def test_the_vector_shape_follows_the_instruction_set():
    assert microbench.vector_shape(("avx", "avx2", "avx512f", "fma")) == (16, 24)
    assert microbench.vector_shape(("avx", "avx2", "fma")) == (8, 12)
    assert microbench.vector_shape(("neon",)) == (4, 24)
    assert microbench.vector_shape(()) == (4, 12)


def test_threads_run_together_and_their_errors_come_out():
    import threading

    meeting = threading.Barrier(3, timeout=10)
    wall, on_cpu = microbench.run_together([meeting.wait] * 3)
    assert wall > 0
    assert on_cpu > 0
    wall, on_cpu = microbench.run_together([lambda: time.sleep(0.2)] * 2)
    assert on_cpu < 0.1 < 0.2 <= wall + 0.01
    with pytest.raises(ZeroDivisionError):
        microbench.run_together([lambda: None, lambda: 1 / 0])


def test_the_real_measurement_is_complete_and_leaves_threads_alone(monkeypatch):
    import numba
    import torch

    monkeypatch.setattr(ceiling_run, "SAMPLE_S", 1e-5)
    monkeypatch.setattr(ceiling_run, "PASSES", (1, 1))
    before = torch.get_num_threads(), numba.get_num_threads()
    heard = []
    small = replace(MACHINE, caches=(Cache("L1", 16 << 10, 1), Cache("L2", 256 << 10, 2)))
    found = ceiling_run.measure(small, lambda part, what: heard.append(part))
    assert (torch.get_num_threads(), numba.get_num_threads()) == before
    assert all(found.peak(t) > 0 and found.bandwidth(n, t) > 0 for t in ("one", "all") for n in found.levels)
    assert heard[0] == 0
    assert heard[-1] == 1
    assert heard == sorted(heard)
    assert "float32 peak" in str(found)
    assert "DRAM copy" in found._repr_html_()


def test_caches_are_read_from_the_kernels_files(tmp_path):
    def index(number, **facts):
        folder = tmp_path / "cpu0" / "cache" / f"index{number}"
        folder.mkdir(parents=True)
        for name, text in facts.items():
            (folder / name).write_text(text + "\n")

    index(0, type="Data", level="1", size="48K", shared_cpu_list="0,8")
    index(1, type="Instruction", level="1", size="32K", shared_cpu_list="0,8")
    index(2, type="Unified", level="2", size="2M", shared_cpu_list="0,8")
    index(3, type="Unified", level="3", size="24576K", shared_cpu_list="0-7,8-15")
    index(4, type="Unified", level="4", size="unreadable", shared_cpu_list="0")
    assert caches(tmp_path) == [
        Cache("L1", 48 << 10, 2), Cache("L2", 2 << 20, 2), Cache("L3", 24 << 20, 16)
    ]  # fmt: skip
    assert _listed("0-2,5") == {0, 1, 2, 5}


def test_without_information_caches_are_assumed_and_say_so(tmp_path):
    found = caches(tmp_path / "nothing")
    assert [cache.name for cache in found] == ["L1", "L2", "L3"]
    assert all(cache.assumed for cache in found) or os.uname().sysname == "Darwin"


def test_the_fingerprint_changes_with_the_machine_and_not_with_a_little_memory():
    assert replace(MACHINE, torch="9.9").fingerprint != MACHINE.fingerprint
    assert replace(MACHINE, cores=3).fingerprint != MACHINE.fingerprint
    assert replace(MACHINE, memory=MACHINE.memory + 1000).fingerprint == MACHINE.fingerprint
