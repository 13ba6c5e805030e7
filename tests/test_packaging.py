"""Names and versions stand in step wherever they stand: pyproject.toml, environment.yml, what is imported."""

import ast
import json
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CORE = {canonicalize_name(Requirement(text).name): Requirement(text) for text in PROJECT["dependencies"]}
EXTRAS = {
    extra: {canonicalize_name(Requirement(text).name): Requirement(text) for text in texts}
    for extra, texts in PROJECT["optional-dependencies"].items()
}
CONDA_NAMES = {"pytorch": "torch"}
# Declared for what they run, not for being imported.
PROGRAMS = {"jupyterlab", "ipykernel", "ipython", "nbclient", "packaging"}


def conda_requirements() -> dict[str, Requirement]:
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    found = [Requirement(entry) for entry in entries if isinstance(entry, str)]
    return {canonicalize_name(CONDA_NAMES.get(req.name, req.name)): req for req in found}


def sources(folder: str) -> list[tuple[str, str]]:
    """(where, source) of each Python file and each notebook's code."""
    found = [(str(p.relative_to(ROOT)), p.read_text()) for p in sorted((ROOT / folder).rglob("*.py"))]
    for path in sorted((ROOT / folder).rglob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        code = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
        found.append((str(path.relative_to(ROOT)), "\n".join(code)))
    return found


def imported(source: str) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names)


def test_conda_users_get_the_same():
    conda = conda_requirements()
    python = conda.pop("python")
    assert str(python.specifier) == PROJECT["requires-python"]
    conda.pop("pip")
    assert {name: req.specifier for name, req in conda.items()} == {
        name: req.specifier for name, req in CORE.items()
    }


def test_conda_also_gets_coursekit_itself():
    entries = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    assert {"pip": ["--editable .[dev,cluster,data]"]} in entries


def test_each_extra_of_the_design_is_there():
    assert set(EXTRAS) == {"cuda", "compress", "data", "cluster", "docs", "dev"}


@pytest.mark.parametrize(
    "folder", ["coursekit", "lessons", "solutions", "exercises", "benchmarks", "tests", "tools"]
)
def test_what_is_imported_is_declared(folder):
    allowed = set(CORE) | {name for extra in EXTRAS.values() for name in extra} | {"coursekit"}
    providers = packages_distributions()
    scripts = ROOT / ("benchmarks" if folder == "tests" else folder)  # those that the tests of scripts import
    beside = {path.stem for path in scripts.glob("*.py")}  # a script may use another of its folder
    for where, source in sources(folder):
        for module in imported(source) - {"coursekit", "tests"} - beside:
            names = {canonicalize_name(name) for name in providers.get(module, [module])}
            assert names & allowed, f"{where} imports {module}, which pyproject.toml does not name"


def test_what_is_declared_is_imported():
    folders = ("coursekit", "lessons", "solutions", "exercises")
    modules = {module for folder in folders for _, source in sources(folder) for module in imported(source)}
    providers = packages_distributions()
    used = {canonicalize_name(name) for module in modules for name in providers.get(module, [module])}
    assert set(CORE) - PROGRAMS <= used, "declared and never used: " + ", ".join(set(CORE) - PROGRAMS - used)


@pytest.mark.parametrize("module", ["coursekit", "coursekit.cli", "coursekit.kernels", "coursekit.measure"])
def test_importing_loads_nothing_heavy(module):
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "numba", "matplotlib", "IPython", "sklearn", "scipy", "pytest"} & set(
        done.stdout.split()
    )
    assert not heavy


def test_the_library_is_typed():
    assert (ROOT / "coursekit" / "py.typed").exists()


@pytest.mark.parametrize("command", [["check"], ["format", "--check"]])
def test_ruff_is_content(command):
    done = subprocess.run(
        [sys.executable, "-m", "ruff", *command, "."], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.parametrize("home, kept", [("the tests'", True), ("a user's", False)])
def test_a_run_of_tests_within_another_keeps_the_ledger(pytestconfig, tmp_path, monkeypatch, home, kept):
    """Some tests start pytest; one of them had taken away the rows that a lesson was still adding to."""
    conftest = pytestconfig.pluginmanager.get_plugin(str(ROOT / "conftest.py"))
    monkeypatch.setattr(conftest, "HOME", tmp_path / "the tests'")
    monkeypatch.setenv("COURSEKIT_HOME", str(tmp_path / home))
    ledger = tmp_path / "the tests'" / "ledger.json"
    ledger.parent.mkdir()
    ledger.touch()
    conftest.pytest_configure(None)
    assert ledger.exists() == kept
