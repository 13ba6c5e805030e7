import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from coursekit.measure import Ledger, quality, this_machine

GOOD = quality([0, 1] * 50, [0, 1] * 50)
POOR = quality([0, 1] * 50, [0, 1] * 40 + [1, 0] * 10)
SIZES = {"params": 10, "bytes_on_disk": 100, "p99_s": 2e-3}


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "ledger.json")


def test_rows_are_kept_with_machine_and_date(ledger):
    row = ledger.add("mlp", quality=POOR, p50_s=1e-3, lesson="10", note="dense", flops=20, **SIZES)
    again = Ledger(ledger.path)
    assert again["mlp"] == row
    assert row.machine == this_machine().fingerprint
    assert row.added
    assert row.accuracy == POOR.accuracy
    assert [r.name for r in again] == ["mlp"]
    with pytest.raises(KeyError, match="'mlp'"):
        again["cnn"]


def test_the_same_name_replaces_in_place(ledger):
    for name in ("a", "b", "c"):
        ledger.add(name, quality=POOR, p50_s=1e-3, **SIZES)
    ledger.add("b", quality=GOOD, p50_s=2e-3, **SIZES)
    assert [(row.name, row.accuracy.value) for row in ledger] == [("a", 0.8), ("b", 1.0), ("c", 0.8)]
    ledger.remove("a")
    assert len(ledger) == 2


def test_the_default_place_is_home(own_home):
    Ledger().add("a", quality=GOOD, p50_s=1e-3, **SIZES)
    assert (own_home / "ledger.json").exists()


def test_the_front_holds_what_nothing_beats(ledger):
    ledger.add("slow and good", quality=GOOD, p50_s=3e-3, **SIZES)
    ledger.add("quick and poor", quality=POOR, p50_s=1e-3, **SIZES)
    ledger.add("slow and poor", quality=POOR, p50_s=2e-3, **SIZES)
    ledger.add("twin", quality=POOR, p50_s=1e-3, **SIZES)
    assert ledger.pareto() == {"slow and good", "quick and poor", "twin"}
    assert ledger.pareto("flops") == set()
    with pytest.raises(ValueError, match="p50_s"):
        ledger.pareto("colour")


def test_a_broken_file_is_set_aside_and_nothing_is_lost(ledger):
    ledger.add("a", quality=GOOD, p50_s=1e-3, **SIZES)
    damaged = ledger.path.read_text()[:-40]
    for number, kept in ((1, "ledger.broken"), (2, "ledger.2.broken")):
        ledger.path.write_text(damaged)
        with pytest.warns(RuntimeWarning, match=kept):
            ledger.add(f"after {number}", quality=GOOD, p50_s=1e-3, **SIZES)
        assert (ledger.path.parent / kept).read_text() == damaged
        assert [row.name for row in ledger] == [f"after {number}"]


@pytest.mark.parametrize("text", ["", "[]", '{"rows": 3}', '{"rows": [{"name": "a"}]}'])
def test_what_is_json_but_no_ledger_is_broken_too(ledger, text):
    ledger.path.write_text(text)
    with pytest.warns(RuntimeWarning, match="set aside"):
        assert list(ledger) == []


ADD_EIGHT = """
import pathlib, sys, time
from coursekit.measure import Ledger, quality
path, name = pathlib.Path(sys.argv[1]), sys.argv[2]
read = Ledger._read

def slowly(self):
    rows = read(self)
    time.sleep(0.03)
    return rows

Ledger._read = slowly
q = quality([0, 1], [0, 1])
path.with_name(name).touch()
while not all(path.with_name(other).exists() for other in "xy"):
    time.sleep(0.001)
for i in range(8):
    Ledger(path).add(f"{name}{i}", quality=q, params=1, bytes_on_disk=1, p50_s=1, p99_s=1)
"""


def test_processes_that_add_at_once_lose_nothing(ledger):
    command = [sys.executable, "-c", ADD_EIGHT, str(ledger.path)]
    workers = [subprocess.Popen([*command, name]) for name in "xy"]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]
    assert {row.name for row in ledger} == {f"{name}{i}" for name in "xy" for i in range(8)}


def test_wrong_numbers_are_refused_and_not_written(ledger):
    for wrong in ({"p50_s": float("nan")}, {"p50_s": -1.0}):
        with pytest.raises(ValueError, match="p50_s"):
            ledger.add("a", quality=GOOD, **wrong, **SIZES)
    with pytest.raises(ValueError, match="name"):
        ledger.add("", quality=GOOD, p50_s=1.0, **SIZES)
    assert not ledger.path.exists()


def test_a_module_is_measured_and_left_as_it_was(ledger):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 3)).train()
    x = torch.randn(300, 4)
    y = model.eval()(x).argmax(1)
    model.train()
    row = ledger.measure("small", model, x, y, calls=20, lesson="10")
    assert row.accuracy.value == 1
    assert row.params == 4 * 8 + 8 + 8 * 3 + 3
    assert row.bytes_on_disk > 4 * row.params
    assert row.flops == 2 * (4 * 8 + 8 * 3) + 8 + 3
    assert 0 < row.p50_s <= row.p99_s
    assert row.lesson == "10"
    assert all(part.training for part in model.modules())


def test_the_table_has_the_columns_of_the_course(ledger):
    ledger.add("<mlp>", quality=POOR, p50_s=1.5e-3, **SIZES)
    text, html = str(ledger.table()), ledger.table()._repr_html_()
    for word in ("accuracy", "precision", "recall", "F1", "parameters", "on disk", "p50", "p99"):
        assert word in text
        assert word in html
    assert "80.0 % (71.1–86.7)" in text
    assert "1.50 ms" in text
    assert "&lt;mlp&gt;" in html
    assert "no rows yet" in Ledger(ledger.path.with_name("none.json"))._repr_html_()


def test_the_file_is_plain_json(ledger):
    ledger.add("a", quality=GOOD, p50_s=np.float64(1e-3), **SIZES)
    assert json.loads(ledger.path.read_text())["rows"][0]["accuracy"]["value"] == 1
