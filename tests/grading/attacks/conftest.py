"""Grading a table of attacks as one class, between two honest learners, in the sandbox."""

import json
import os
from pathlib import Path

import pytest

from coursekit.grading.course.classroom import Options, grade_class, read_class
from coursekit.grading.course.gradebook import Gradebook
from coursekit.grading.kernels import sandbox
from coursekit.grading.marking.result import Result
from tests.grading.attacks.attack import CANARY, HONEST, NAME, RIGHT, Attack, Course, exercise, write_key

NEIGHBOURS = ("0 ada", "~ zoe")  # before all others, and after them


def pytest_generate_tests(metafunc):
    """One test for each attack of a module's table; those that are not quick are slow."""
    if "attack" in metafunc.fixturenames:
        table = metafunc.module.ATTACKS
        metafunc.parametrize(
            "attack", [pytest.param(name, marks=_marks(a)) for name, a in table.items()], ids=list(table)
        )


def _marks(attack: Attack) -> list:
    marks = [] if attack.quick else [pytest.mark.slow]
    return [*marks, pytest.mark.xfail(reason=attack.open, strict=True)] if attack.open else marks


@pytest.fixture(scope="session")
def needs_sandbox():
    if sandbox.missing():
        pytest.skip(sandbox.missing())


@pytest.fixture(scope="module")
def facts() -> dict[str, object]:
    """What a module's payloads are told of this machine; a module may have its own."""
    return {}


@pytest.fixture(scope="module")
def course(tmp_path_factory, facts) -> Course:
    top = tmp_path_factory.mktemp("course")
    write_key(top / "solutions")
    places = {"GROUP": top / "class", "SOLUTIONS": top / "solutions", "BOOK": top / "book.sqlite"}
    places = {name: str(path) for name, path in places.items()}
    return Course(top / "solutions", top / "class", places | {"HOME": str(Path.home())} | facts)


@pytest.fixture(scope="module")
def graded(request, needs_sandbox, course) -> dict[str, Result]:
    """The result of every attack of the module that was asked for, and of the two neighbours."""
    items = [
        item
        for item in request.session.items
        if getattr(item, "module", None) is request.module and hasattr(item, "callspec")
    ]
    names = {item.callspec.params["attack"] for item in items if "attack" in item.callspec.params}
    for name in names:
        request.module.ATTACKS[name].hand_in(course.group / name, course)
    for name in NEIGHBOURS:
        notebook = exercise(course.solutions, RIGHT | {"double": f"# {CANARY}\n{HONEST}"})
        (course.group / name).mkdir(parents=True)
        (course.group / name / f"{NAME}.ipynb").write_text(json.dumps(notebook))
    with pytest.MonkeyPatch.context() as patch, Gradebook(Path(course.facts["BOOK"])) as gradebook:
        patch.setenv("COURSEKIT_SECRET", CANARY)
        group = read_class(course.group, course.solutions, [NAME])
        rows = {row.learner: row.result for row in grade_class(group, gradebook, Options(seed=7, workers=1))}
        assert gradebook.unfinished_run("bubblewrap") is None, "the run came to its end"
    left = [entry for entry in os.listdir(course.group) if entry not in rows]
    assert not left, "everybody has a row"
    return rows


@pytest.fixture
def neighbours(graded) -> list[Result]:
    return [graded[name] for name in NEIGHBOURS]
