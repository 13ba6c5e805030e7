"""Making the environment: each way it can fail ends in one sentence, and a second run starts at once."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """tools/environment.py as a module, at work in an empty folder, with nothing installed for real."""
    spec = importlib.util.spec_from_file_location("environment", ROOT / "tools" / "environment.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text('[project]\ndependencies = [\n    "torch==2.13.0",\n]\n')
    monkeypatch.setattr(module, "ROOT", str(tmp_path))
    monkeypatch.setattr(module, "VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(module, "STAMP", str(tmp_path / ".venv" / "stamp"))
    module.calls = []

    def call(command, **kwargs):
        module.calls.append(command)
        os.makedirs(module.VENV, exist_ok=True)
        return module.status if hasattr(module, "status") else 0

    monkeypatch.setattr(module.subprocess, "call", call)
    monkeypatch.delenv("TORCH_INDEX", raising=False)
    return module


def said(capsys) -> str:
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1, error
    return error


def test_installs_once(environment, capsys):
    environment.main()
    first = list(environment.calls)
    assert any("torch==2.13.0" in command for command in first)
    assert any(".[dev,cluster,data]" in command for command in first)
    printed = capsys.readouterr().out
    assert all(step in printed for step in ("[1/3]", "[2/3]", "[3/3]"))
    environment.main()
    assert environment.calls == first, "a second run starts at once"


def test_a_changed_dependency_is_installed(environment):
    environment.main()
    count = len(environment.calls)
    path = Path(environment.ROOT) / "pyproject.toml"
    path.write_text(path.read_text().replace("2.13.0", "2.14.0"))
    environment.main()
    assert any("torch==2.14.0" in command for command in environment.calls[count:])


def test_torch_comes_from_another_index_where_one_is_named(environment, monkeypatch):
    monkeypatch.setenv("TORCH_INDEX", "file:///somewhere")
    environment.main()
    (torch,) = [command for command in environment.calls if "torch==2.13.0" in command]
    assert torch[torch.index("--index-url") + 1] == "file:///somewhere"


def test_an_old_python_is_told(environment, monkeypatch, capsys):
    monkeypatch.setattr(environment.sys, "version_info", (3, 8, 18))
    with pytest.raises(SystemExit):
        environment.main()
    assert "Python 3.11 or newer is needed" in said(capsys)


def test_a_python_without_venv_is_told(environment, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit):
        environment.main()
    assert "has no venv module" in said(capsys)


def test_a_full_disk_is_told(environment, monkeypatch, capsys):
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage(10**9))
    with pytest.raises(SystemExit):
        environment.main()
    assert "4 GB of free space are needed" in said(capsys)


def test_a_failed_download_is_told_and_tried_again(environment, capsys):
    environment.status = 1
    with pytest.raises(SystemExit):
        environment.main()
    capsys.readouterr()
    environment.status = 0
    environment.main()
    assert environment.is_ready()


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_without_any_python_is_told():
    done = subprocess.run(
        ["make", "env", "PYTHON=python-of-nobody"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode != 0 and "Python 3.11 or newer is needed" in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.skipif(
    not (ROOT / ".venv").exists(), reason="there is no .venv: these tests run in another environment"
)
def test_make_lab_serves(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"JUPYTER_CONFIG_DIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path / "run")}
    with open(tmp_path / "log", "w") as log:
        server = subprocess.Popen(
            ["make", "lab", f"PORT={port}", "BROWSER=no"],
            cwd=ROOT,
            env=env,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        answer = wait_for(f"http://127.0.0.1:{port}/api", server, 60)
        assert b"version" in answer
        assert f":{port}/lab" in (tmp_path / "log").read_text(), "it prints the address"
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)


def wait_for(url: str, server: subprocess.Popen, seconds: float) -> bytes:
    deadline = time.monotonic() + seconds
    while True:
        try:
            return urllib.request.urlopen(url, timeout=5).read()
        except OSError:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.3)
