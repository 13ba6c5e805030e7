"""Where the keys are, and where what a command makes may go."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import coursekit


def find_solutions(named: Path | None, near: Path) -> Path:
    """The folder of keys: as named, or the nearest ``solutions/`` above `near`, here, or the checkout's."""
    if named is not None:
        if not named.is_dir():
            raise ValueError(f"--solutions {named} is not a folder")
        _refuse_no_keys(named)
        return named
    places = [*near.resolve().parents, Path.cwd(), *Path.cwd().parents, Path(coursekit.__file__).parents[1]]
    for place in [near.resolve(), *places]:
        if any((place / "solutions").glob("*.ipynb")):
            return place / "solutions"
    raise ValueError("there is no solutions/ folder here or above; name it with --solutions DIR")


def _refuse_no_keys(folder: Path) -> None:
    """Refuse a folder without notebooks, or with none that has a solution, as exercises/ and a hand-out are."""
    from coursekit.grading.exercise.key import BEGIN
    from coursekit.grading.exercise.notebook import BadNotebook, read_cells

    paths = sorted(folder.glob("*.ipynb"))
    if not paths:
        raise ValueError(f"--solutions {folder} holds no notebook; wanted: the folder of the keys")
    for path in paths:
        try:
            if any(BEGIN in cell.source for cell in read_cells(path)):
                return
        except BadNotebook:
            return  # whoever loads it says what is wrong with it
    raise ValueError(
        f"--solutions {folder} holds {paths[0].name} without its solutions, as learners get it; "
        "wanted: the folder of the keys"
    )


@contextlib.contextmanager
def writing(option: str, path: Path) -> Iterator[None]:
    """Turn what the disk refuses within the block into a ValueError that names the option and the place."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise ValueError(f"{option} {path} cannot be written ({reason}); name another place") from None


def refuse_folder(option: str, path: Path, example: str) -> None:
    """Raise ValueError where a file is to be written and a folder stands there."""
    if path.is_dir():
        raise ValueError(f"{option} {path} is a folder; wanted: a file, such as {path / example}")


def refuse_negative(seed: int | None) -> None:
    """Raise ValueError for a seed that no generator takes."""
    if seed is not None and seed < 0:
        raise ValueError(f"--seed {seed}: wanted a whole number from 0")


def key_path(notebook: Path, named: Path | None) -> Path:
    """The key for a notebook: by the exercise it says it is, else by its file name."""
    from coursekit.grading.exercise.notebook import exercise_of

    solutions = find_solutions(named, notebook)
    for name in (exercise_of(notebook), notebook.stem):
        if name and (solutions / f"{Path(name).name}.ipynb").is_file():
            return solutions / f"{Path(name).name}.ipynb"
    known = ", ".join(path.stem for path in sorted(solutions.glob("*.ipynb")))
    raise ValueError(f"{notebook.name} is none of the exercises in {solutions}: {known}")


def find_keys(rows: Iterable, named: Path | None, near: Path) -> dict:
    """The keys by exercise, of those that are found: the others' answers are compared without one.

    Raises ValueError for a folder that was named and is none, or has a broken key.
    """
    from coursekit.grading.exercise.key import load_key

    try:
        solutions = find_solutions(named, near)
    except ValueError:
        if named is not None:
            raise
        return {}
    keys = {}
    for exercise in sorted({row.result.exercise for row in rows}):
        path = solutions / f"{Path(exercise).name}.ipynb"
        if not path.is_file():
            continue
        try:
            keys[exercise] = load_key(path)
        except ValueError:
            if named is not None:
                raise
    return keys
