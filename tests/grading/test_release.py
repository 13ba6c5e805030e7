"""What a learner gets: everything they need, nothing they must not see, and solving only adds lines."""

import difflib
import json
import subprocess
from pathlib import Path

import nbformat
import pytest

import coursekit
from coursekit import cli
from coursekit.grading.exercise.handout import BadHandout, Leak, hand_out, refuse_leaks
from coursekit.grading.exercise.key import BEGIN, END, load_key
from coursekit.grading.exercise.notebook import BadNotebook, exercise_of
from coursekit.grading.exercise.release import PLACE, release, release_all, skeleton
from tests.grading.conftest import code, judge, key_cells, text, write_notebook


def test_hides_answers_wrongs_and_judging(solutions):
    text = release(solutions / "00_small.ipynb")
    for secret in (BEGIN, END, "return 2 *", "emit(", "** 2", "judge"):
        assert secret not in text
    assert text.count(PLACE) == 3 and text.count("with Check(") == 3


def test_is_valid_has_no_outputs_and_the_same_twice(solutions):
    text = release(solutions / "00_small.ipynb")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert all(
        not cell.outputs and cell.execution_count is None for cell in notebook.cells if "outputs" in cell
    )
    assert text == release(solutions / "00_small.ipynb")


def test_folds_the_checks_away(solutions):
    notebook = nbformat.reads(release(solutions / "00_small.ipynb"), as_version=4)
    folded = [cell.id for cell in notebook.cells if cell.metadata.get("jupyter", {}).get("source_hidden")]
    assert folded == ["check-double", "check-total", "check-mean"]


def test_says_its_points_once(solutions):
    text = release(solutions / "00_small.ipynb")
    assert "## Task 1: double (1 point)" in text and "## Task 3: mean (3 points)" in text


def test_solving_only_adds_lines(key):
    for task in key.tasks.values():
        before = skeleton(task.solution).splitlines()
        after = [PLACE if line.strip() == BEGIN else line for line in task.solution.splitlines()]
        kept = [line.strip() for line in before]
        removed = [d for d in difflib.ndiff(kept, [line.strip() for line in after]) if d.startswith("- ")]
        assert not removed


def test_release_all_writes_only_what_changed(solutions, tmp_path):
    assert [p.name for p in release_all(solutions, tmp_path / "exercises")] == ["00_small.ipynb"]
    assert release_all(solutions, tmp_path / "exercises") == []
    assert exercise_of(tmp_path / "exercises" / "00_small.ipynb") == "00_small"
    notebook = json.loads((tmp_path / "exercises" / "00_small.ipynb").read_text())
    assert "solutions/00_small.ipynb" in notebook["metadata"]["coursekit"]["generated"]


def copied(cell):
    own = cell.metadata.coursekit
    return code(cell.source, **own)


def break_cells(change):
    cells = key_cells()
    change(cells)
    return cells


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop(6), "task 'double' needs one judge cell and has 0"),
        (lambda c: c.append(copied(c[6])), "needs one judge cell and has 2"),
        (lambda c: c[3].metadata.coursekit.update(points=0), "needs points"),
        (lambda c: c[3].metadata.coursekit.pop("points"), "needs points"),
        (lambda c: c[3].update(source="def double(x): return 2 * x"), "BEGIN SOLUTION"),
        (lambda c: c[3].metadata.coursekit.update(role="anwser"), "role 'anwser' is not one of"),
        (
            lambda c: c[3].metadata.coursekit.update(needs=["mean"]),
            "'double' needs mean, which does not stand before",
        ),
        (lambda c: c.append(code("1", "given", "other")), "for task 'other', which has no answer"),
        (lambda c: c.append(copied(c[3])), "a task name of its own"),
    ],
)
def test_a_key_that_is_not_whole_says_what_is_missing(tmp_path, change, words):
    path = write_notebook(tmp_path / "key.ipynb", break_cells(change))
    with pytest.raises(BadNotebook, match=words):
        load_key(path)


# A folder to hand out


@pytest.fixture
def two_keys(tmp_path):
    """The small key, and another one with a race, whose title would break a table."""
    folder = tmp_path / "solutions"
    write_notebook(folder / "00_small.ipynb", key_cells())
    cells = [
        text("# Exercise 09: a | b"),
        text("## Task 1: triple", "triple"),
        code(
            "def triple(x):\n    # BEGIN SOLUTION\n    return x + x + x + 0\n    # END SOLUTION",
            "answer",
            "triple",
            points=1,
        ),
        code("def triple(x):\n    return x ** 3 + unlikely", "wrong", "triple", hint="no"),
        code('with Check("triple") as check:\n    check(triple, 2, want=6)', "check", "triple"),
        code(judge("triple", 'emit("drawn", triple, rng.integers(9))'), "judge", "triple"),
        code("race(triple, lambda rng: [rng.normal(size=77_777)])", "race", "triple", points=2),
    ]
    write_notebook(folder / "09_race.ipynb", cells)
    return folder


SECRETS = (
    "return 2 * np",
    "s += value",
    "** 2",
    "emit(",
    "x + x + x",
    "x ** 3",
    "77_777",
    "unlikely",
    BEGIN,
    END,
)


def test_a_hand_out_holds_the_exercises_a_readme_and_no_solution(two_keys, tmp_path):
    paths = hand_out(
        two_keys, tmp_path / "out", title="Fast models", due={"09_race": "1 May 2027, 23:59 (UTC)"}
    )
    names = ["00_small.ipynb", "09_race.ipynb", "README.md", "SHA256SUMS"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert sorted(path.name for path in paths) == names
    everything = "".join(path.read_text() for path in paths)
    assert not [secret for secret in SECRETS if secret in everything]
    for name in names[:2]:
        assert (tmp_path / "out" / name).read_text() == release(two_keys / name)
    readme = (tmp_path / "out" / "README.md").read_text()
    assert "# Fast models" in readme and "| 00_small.ipynb | A small exercise | 6 |  |" in readme
    assert "| 09_race.ipynb | Exercise 09: a \\| b | 3 | 1 May 2027, 23:59 (UTC) |" in readme
    assert coursekit.__version__ in readme and "{" not in readme
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in paths), "learners can read it"


def test_the_sums_are_those_of_sha256sum(two_keys, tmp_path):
    hand_out(two_keys, tmp_path / "out")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path / "out", capture_output=True
    )
    assert done.returncode == 0 and done.stdout.count(b": OK") == 3


def test_a_hand_out_grows_and_keeps_up_with_its_keys(two_keys, tmp_path):
    out = tmp_path / "out"
    hand_out(two_keys, out, ["09_race"])
    assert not (out / "00_small.ipynb").exists() and "00_small" not in (out / "README.md").read_text()
    cells = key_cells()
    cells[0] = text("# Another title")
    write_notebook(two_keys / "00_small.ipynb", cells)
    hand_out(two_keys, out, ["00_small"])
    assert "Another title" in (out / "00_small.ipynb").read_text() and (out / "09_race.ipynb").exists()
    assert "09_race" in (out / "README.md").read_text()
    cells[0] = text("# A third title")
    write_notebook(two_keys / "00_small.ipynb", cells)
    hand_out(two_keys, out, ["09_race"])
    assert "A third title" in (out / "00_small.ipynb").read_text()


def mess_up(out, name):
    if name == "09_race.ipynb":
        (out / name).rename(out.parent / name)
        (out / name).symlink_to(out.parent / name)
    elif name == "link.ipynb":
        (out / name).symlink_to(out.parent / "solutions" / "00_small.ipynb")
    elif name.endswith("/"):
        (out / name).mkdir()
    else:
        with (out / name).open("a") as file:
            file.write("x")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("notes.txt", "notes.txt"),
        ("solved.ipynb", "solved.ipynb"),
        ("00_small.ipynb", r"00_small.ipynb \(changed since\)"),
        ("README.md", r"README.md \(changed since\)"),
        (".ipynb_checkpoints/", ".ipynb_checkpoints"),
        ("link.ipynb", "link.ipynb"),
        ("09_race.ipynb", "09_race.ipynb"),
    ],
)
def test_what_others_put_in_a_hand_out_is_not_written_over(two_keys, tmp_path, name, said):
    out = tmp_path / "out"
    hand_out(two_keys, out)
    mess_up(out, name)
    before = {path: path.read_bytes() for path in out.iterdir() if path.is_file()}
    with pytest.raises(BadHandout, match=f"holds {said}; move that away"):
        hand_out(two_keys, out)
    assert {path: path.read_bytes() for path in out.iterdir() if path.is_file()} == before


@pytest.mark.parametrize("name", ["README.md", "SHA256SUMS", "00_small.ipynb"])
def test_a_folder_of_somebody_else_is_left_alone(two_keys, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(BadHandout, match=f"holds {name}; move"):
        hand_out(two_keys, tmp_path / "out")
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["mine"]


def test_a_hand_out_that_was_cut_off_is_finished(two_keys, tmp_path):
    out = tmp_path / "out"
    hand_out(two_keys, out)
    (out / "SHA256SUMS").unlink()
    (out / "09_race.ipynb").unlink()
    assert len(hand_out(two_keys, out)) == 4


def test_a_hand_out_of_nothing(two_keys, tmp_path):
    with pytest.raises(BadHandout, match=r"no key for 07_no in .*; it has 00_small, 09_race"):
        hand_out(two_keys, tmp_path / "out", ["07_no"])
    with pytest.raises(BadHandout, match=r"no key for anything in .*; it has none"):
        hand_out(tmp_path, tmp_path / "out")
    (tmp_path / "file").write_text("x")
    with pytest.raises(BadHandout, match="is not a folder"):
        hand_out(two_keys, tmp_path / "file")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        (
            code("def helper(x):\n    s = 0\n    return  2*np.asarray( x )", "given"),
            "the solution of 'double' in 00_small",
        ),
        (text("Write\n\n    return 2 * np.asarray(x)\n\nand be done."), "the solution of 'double'"),
        (text('Not `raise ValueError("x is empty")`, but something.'), "the solution of 'mean'"),
        (code("return np.asarray(x) ** 2", "given"), "a wrong answer of 'double'"),
        (code('emit("drawn", double, rng.normal(size=5))', "given"), "the judge of 'double'"),
        (
            code("race(triple, lambda rng: [rng.normal(size=77_777)])", "given"),
            "the race of 'triple' in 09_race",
        ),
        (text("Between # BEGIN SOLUTION and its end"), "'# BEGIN SOLUTION'"),
    ],
)
def test_a_key_that_gives_itself_away_is_not_handed_out(two_keys, tmp_path, cell, said):
    write_notebook(two_keys / "00_small.ipynb", [*key_cells(), cell])
    with pytest.raises(Leak, match=f"00_small.ipynb would show .*{said}"):
        hand_out(two_keys, tmp_path / "out")
    assert not (tmp_path / "out").exists(), "nothing is left of it"


@pytest.mark.parametrize("role", ["wrong", "judge", "race"])
def test_a_release_that_forgets_to_strip_is_noticed(two_keys, tmp_path, monkeypatch, role):
    from coursekit.grading.exercise import release as module

    monkeypatch.setattr(module, "RELEASED", (*module.RELEASED, role))
    with pytest.raises(Leak):
        hand_out(two_keys, tmp_path / "out")


def test_a_cell_of_another_role_is_noticed_whatever_it_says(tmp_path):
    write_notebook(tmp_path / "00_small.ipynb", [text("# Title"), code("pass", "judge", "double")])
    with pytest.raises(Leak, match=r"00_small.ipynb would have a judge cell"):
        refuse_leaks(tmp_path, [])


def test_a_release_that_leaves_the_solutions_is_noticed(two_keys, tmp_path, monkeypatch):
    from coursekit.grading.exercise import release as module

    monkeypatch.setattr(module, "skeleton", lambda source: source.replace(BEGIN, "#").replace(END, "#"))
    with pytest.raises(Leak, match="a line of the solution"):
        hand_out(two_keys, tmp_path / "out")


def test_lines_are_looked_for_everywhere_in_a_notebook(two_keys, tmp_path):
    hand_out(two_keys, tmp_path / "out")
    keys = [load_key(path) for path in sorted(two_keys.glob("*.ipynb"))]
    assert refuse_leaks(tmp_path / "out", keys) > 10
    notebook = json.loads((tmp_path / "out" / "00_small.ipynb").read_text())
    secret = "    s += value + 0\n    return total(x) / len(x)\n"
    for place in (
        lambda n: n["metadata"].update(note=secret),
        lambda n: n["cells"][1]["metadata"].update(tags=[secret]),
        lambda n: n["cells"][1]["outputs"].append(
            {"output_type": "stream", "name": "stdout", "text": secret.splitlines(True)}
        ),
        lambda n: n["cells"][0].update(source=["return total(x)", " / len(x)"]),
    ):
        changed = json.loads(json.dumps(notebook))
        place(changed)
        (tmp_path / "out" / "00_small.ipynb").write_text(json.dumps(changed))
        with pytest.raises(Leak, match="the solution of 'mean'"):
            refuse_leaks(tmp_path / "out", keys)


def test_the_courses_own_exercises_can_be_handed_out(tmp_path):
    solutions = Path(coursekit.__file__).parents[1] / "solutions"
    paths = hand_out(solutions, tmp_path / "out")
    assert len(paths) == len(list(solutions.glob("*.ipynb"))) + 2
    for path in paths:
        assert "coursekit check" not in path.read_text(encoding="utf-8"), "it needs the keys"
        if path.suffix == ".ipynb":
            handed, whole = nbformat.read(path, 4), nbformat.reads(release(solutions / path.name), 4)
            nbformat.validate(handed)
            assert "For your marks, save the notebook and hand it in." in handed.cells[0].source
            assert handed.cells[0].source.splitlines()[:5] == whole.cells[0].source.splitlines()[:5]
            assert handed.cells[1:] == whole.cells[1:] and handed.metadata == whole.metadata


def test_the_command_hands_out(two_keys, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "course.toml").write_text(
        'title = "Fast"\ntimezone = "Europe/Berlin"\n[due]\n09_race = 2027-05-01'
    )
    args = ["release", "--solutions", str(two_keys), "--to", str(out)]
    assert cli.main([*args, "--exercise", "09_race"]) == 0
    assert f"wrote {out / '09_race.ipynb'}" in capsys.readouterr().out
    assert "1 May 2027, 23:59 (Europe/Berlin)" in (out / "README.md").read_text()
    assert not (tmp_path / "exercises").exists()
    (out / "mine.txt").write_text("x")
    assert cli.main(args) == 2
    error = capsys.readouterr().err
    assert "holds mine.txt" in error and len(error.splitlines()) == 1
    assert cli.main(["release", "--solutions", str(two_keys), "--exercise", "09_race"]) == 2
    assert "go with --to" in capsys.readouterr().err


def test_two_given_cells_of_a_task_keep_their_ids(tmp_path):
    cells = key_cells()
    cells[3:3] = [code("A = 1", "given", "double"), code("B = 2", "given", "double")]
    path = write_notebook(tmp_path / "00_small.ipynb", cells)
    assert release(path) == release(path)
    ids = [cell["id"] for cell in json.loads(release(path))["cells"]]
    assert len(set(ids)) == len(ids)
