"""The benchmark of the kernels: its tables, its verdicts and its files. Nothing here depends on a time."""

import json
from dataclasses import replace

import kernels
import pytest
import torch
from race import Row, candidates, race
from rivals import PREPARED, RIVALS
from tables import changes, markdown, target_table
from targets import TARGETS, Target

from coursekit.kernels import cpu
from coursekit.kernels.contract import Case
from coursekit.kernels.ops import OPS
from coursekit.measure.roofline import assemble
from tests.measure.known import MACHINE, RATES, SETS

ROW = Row(
    "matmul", "square 512", "float32", "matmul", True, "one", 1e-3, 10**9, 10**6, 0.8,
    {"torch": (2.0, 1.9, 2.1), "oneDNN": (1.0, 0.97, 1.1)},
)  # fmt: skip


# One takes seconds and a compiler that may be missing, the other does as many products of other numbers.
OTHERWISE = {"torch.compile", "our float32 product"}


@pytest.fixture
def ceilings():
    return assemble(MACHINE, RATES, SETS, took_s=1.0)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.operation}-{t.case}-{t.rival}-{t.threads}")
def test_each_target_names_what_there_is(target):
    op = OPS[target.operation]
    assert target.case in {case.name for case in op.cases_for("benchmark")}
    assert (target.version or target.operation) in cpu.rungs(target.operation)
    known = {"torch", *RIVALS.get(target.operation, {}), *PREPARED.get(target.operation, {})}
    assert target.rival in known


@pytest.mark.parametrize("name", sorted({*RIVALS, *PREPARED}))
def test_rivals_do_the_same_operation(name):
    op = OPS[name]
    case = next(c for c in op.cases_for("test") if all(n != 0 for n in c.sizes.values()))
    calls = candidates(op, case, op.dtypes[0])
    wanted, tolerance = calls["torch"](), op.tolerance[op.dtypes[0]]
    for rival in {*RIVALS.get(name, {}), *PREPARED.get(name, {})} & set(calls):
        if rival in OTHERWISE:
            continue
        for got, want in zip(_tuple(calls[rival]()), _tuple(wanted), strict=True):
            limits = {"rtol": 20 * tolerance.rtol, "atol": 20 * tolerance.atol}
            if got.is_floating_point():  # some round to 16 bits
                limits["rtol"] = max(limits["rtol"], torch.finfo(got.dtype).eps)
            torch.testing.assert_close(got, want, **limits, check_dtype=False)


def _tuple(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("threads", ["one", "all"])
def test_a_race_has_a_row_for_each_version_and_leaves_the_threads_alone(ceilings, threads):
    case, before = Case("small", "benchmark", {"...": (4,), "N": 8}), torch.get_num_threads()
    rows = list(race(OPS["bias_gelu"], case, ceilings, threads=threads, budget_s=0.05))
    assert [row.version for row in rows] == ["torch", *cpu.rungs("bias_gelu")]
    assert [row.version for row in rows if row.public] == ["bias_gelu"]
    assert set(rows[-1].speed) == {"torch"} and rows[0].speed == {}
    assert all(row.seconds > 0 and row.share > 0 and row.threads == threads for row in rows)
    assert (cpu.get_num_threads(), torch.get_num_threads()) == (1, before)


def test_what_is_written_is_what_is_read(tmp_path):
    path = tmp_path / "rows.json"
    kernels.save(path, [ROW], "a machine")
    assert kernels.load(path) == [ROW]
    assert json.loads(path.read_text())["made by"].startswith("python benchmarks/kernels.py")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"rows": [{"operation": "matmul"}]}', '{"rows": 3}'])
def test_a_file_that_is_none_is_named(tmp_path, text, capsys):
    path = tmp_path / "rows.json"
    path.write_text(text)
    with pytest.raises(SystemExit):
        kernels.main(["--against", str(path)])
    assert f"{path} is not a file that --json wrote" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["matmull"], "no operation matmull; there are matmul"),
        (["--budget", "0"], "--budget must be above 0"),
        (["--against", "nowhere.json"], "nowhere.json"),
    ],
)
def test_wrong_use_is_said(arguments, said, capsys):
    with pytest.raises(SystemExit) as stop:
        kernels.main(arguments)
    assert stop.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("now", "slower"),
    [
        ((2.0, 1.9, 2.1), False),
        ((1.7, 1.65, 1.75), True),
        ((1.7, 1.4, 1.95), False),  # the intervals meet
        ((1.85, 1.84, 1.86), False),  # less than a tenth
        ((3.0, 2.9, 3.1), False),
    ],
)
def test_slower_is_what_lost_a_tenth_beyond_doubt(now, slower):
    row = replace(ROW, speed={"torch": now})
    assert bool(changes([ROW], [row], "torch")) == slower


@pytest.mark.parametrize(
    "change", [{"public": False}, {"case": "another"}, {"threads": "all"}, {"speed": {}}]
)
def test_what_was_not_measured_before_is_not_slower(change):
    row = replace(ROW, **({"speed": {"torch": (0.1, 0.1, 0.1)}} | change))
    assert changes([ROW], [row], "torch") == []


@pytest.mark.parametrize(
    ("speed", "verdict"),
    [
        ((1.0, 0.96, 1.1), "reached "),
        ((1.0, 0.9, 1.1), "reached, not surely"),
        ((0.9, 0.8, 0.97), "missed, not surely"),
        ((0.8, 0.7, 0.9), "missed "),
    ],
)
def test_the_verdict_heeds_the_interval(speed, verdict):
    target = Target("matmul", "square 512", "oneDNN", 0.95, 1.0, 0.9)
    table = target_table([replace(ROW, speed={"oneDNN": speed})], [target])
    assert verdict in table and "80% of 90%" in table


def test_what_the_ceiling_forbids_is_out_of_reach():
    target = Target("matmul", "square 512", "torch", 3.0)
    row = replace(ROW, share=0.8, speed={"torch": (2.0, 1.9, 2.1)})
    table = target_table([row], [target])
    assert "out of reach" in table and " 2.50 " in table
    assert "missed" in target_table([replace(row, share=1.2)], [target])


def test_targets_that_were_not_measured_make_no_table():
    assert target_table([ROW], [Target("softmax", "32 MB", "torch", 1.0)]) == ""
    assert target_table([ROW], [Target("matmul", "square 512", "nobody", 1.0)]) == ""


def test_the_readme_table_has_public_versions_and_the_fastest_rival():
    table = markdown([ROW, replace(ROW, public=False, version="matmul_rows")], "torch")
    assert table.count("\n") == 2
    assert table.endswith("| 2.00 (1.90 to 2.10) | oneDNN: 1.00 (0.97 to 1.10) | 80% |")
    assert "the same" in markdown([replace(ROW, speed={"torch": (2.0, 1.9, 2.1)})], "torch")
