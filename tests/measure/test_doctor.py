import io

import pytest
from rich.console import Console

from coursekit.measure import ceiling_cache, doctor
from coursekit.measure.roofline import assemble
from tests.measure.known import MACHINE, RATES, SETS


@pytest.fixture(autouse=True)
def known_ceilings(monkeypatch):
    asked = []

    def ceilings(refresh=False, progress=None):
        asked.append(refresh)
        return assemble(MACHINE, RATES, SETS, 1.0)

    monkeypatch.setattr(ceiling_cache, "ceilings", ceilings)
    return asked


def found(topic):
    return {finding.name: finding for finding in doctor.report() if finding.topic == topic}


def test_every_topic_is_reported():
    topics = list(dict.fromkeys(finding.topic for finding in doctor.report()))
    assert topics == ["versions", "machine", "GPU", "ceilings", "programs", "extras", "files"]
    assert found("versions")["torch"].status == "ok"
    assert found("ceilings")["float32 peak"].detail == "one core 100 GFLOP/s, all 2 cores 190 GFLOP/s"
    assert {"L1 cache", "memory", "CPU"} <= set(found("machine"))
    assert {"torch", "numba"} <= set(found("GPU"))


def test_what_is_missing_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(doctor.shutil, "which", lambda command: None)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda module: None)
    missing = [*found("programs").values(), *found("extras").values()]
    assert all(finding.status == "missing" and finding.hint for finding in missing)
    assert ".[cuda]" in found("extras")["numba.cuda, new"].hint
    monkeypatch.setattr(doctor.shutil, "which", lambda command: "/usr/bin/" + command)
    assert found("programs")["C++ compiler"].status == "ok"


@pytest.mark.parametrize(
    "probe", ["_versions", "_machine", "_torch_gpu", "_ceilings", "_programs", "_extras", "_files"]
)
def test_a_probe_that_fails_is_a_line_and_not_a_crash(monkeypatch, probe):
    def broken(*args):
        raise OSError("the disk is gone")

    monkeypatch.setattr(doctor, probe, broken)
    failed = [finding for finding in doctor.report() if finding.status == "failed"]
    assert [finding.detail for finding in failed] == ["OSError: the disk is gone"]


def test_a_probe_that_fails_halfway_keeps_what_it_found(monkeypatch):
    def halfway():
        yield doctor.Finding("extras", "first", "ok", "")
        raise RuntimeError("stuck")

    monkeypatch.setattr(doctor, "_extras", halfway)
    assert [finding.status for finding in found("extras").values()] == ["ok", "failed"]


def test_the_printed_report_holds_the_findings_and_can_refresh(known_ceilings, monkeypatch):
    monkeypatch.setattr(
        doctor, "_extras", lambda: iter([doctor.Finding("extras", "odd", "ok", "[/bold] brackets")])
    )
    out = io.StringIO()
    doctor.print_report(Console(file=out, width=200), refresh=True)
    assert known_ceilings == [True]
    assert "float32 peak" in out.getvalue()
    assert "[/bold] brackets" in out.getvalue()


def test_a_home_that_cannot_be_written_is_told(monkeypatch):
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    assert "COURSEKIT_HOME" in found("files")["measurements"].hint
