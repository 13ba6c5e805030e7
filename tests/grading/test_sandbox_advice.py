"""What is said where bubblewrap is missing, or there and broken."""

import sys

import pytest

from coursekit.grading.kernels import sandbox


@pytest.fixture
def bwrap(tmp_path, monkeypatch):
    """A bwrap that fails as where namespaces are forbidden."""
    if sys.platform != "linux":
        pytest.skip("isolation needs Linux")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "bwrap"
    program.write_text("#!/bin/sh\necho 'bwrap: setting up uid map: Permission denied' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    sandbox.missing.cache_clear()
    yield program
    sandbox.missing.cache_clear()


def settings(place, **values: str):
    for name, value in values.items():
        path = place / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return place


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"kernel__apparmor_restrict_unprivileged_userns": "1"}, "apparmor_restrict_unprivileged_userns=0"),
        ({"kernel__unprivileged_userns_clone": "0"}, "kernel.unprivileged_userns_clone=1"),
        ({"user__max_user_namespaces": "0"}, "user.max_user_namespaces=10000"),
        ({"kernel__unprivileged_userns_clone": "1"}, "what forbids user namespaces here"),
    ],
)
def test_a_broken_bubblewrap_is_not_to_be_installed_again(bwrap, tmp_path, values, words):
    said = sandbox.advice(settings(tmp_path, **values), marks=())
    assert words in said and said.count("sysctl") <= 1 and said.endswith("--no-sandbox")
    assert "apt install" not in said and "container" not in said


def test_a_container_is_recognised(bwrap, tmp_path):
    said = sandbox.advice(settings(tmp_path), marks=[bwrap])
    assert "start it with them loosened" in said and "what forbids" not in said


def test_why_and_what_to_do_are_said_together(bwrap):
    with pytest.raises(sandbox.NoSandbox, match=r"does not work \(bwrap: setting up uid map.*--no-sandbox"):
        sandbox.require()
    bwrap.write_text("no program")
    sandbox.missing.cache_clear()
    with pytest.raises(sandbox.NoSandbox, match=r"bubblewrap is there and does not work \("):
        sandbox.require()
    bwrap.unlink()
    sandbox.missing.cache_clear()
    with pytest.raises(sandbox.NoSandbox, match=r"no bwrap on the PATH; install bubblewrap"):
        sandbox.require()
