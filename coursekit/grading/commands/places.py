"""Where the keys are."""

from pathlib import Path

import coursekit


def find_solutions(named: Path | None, near: Path) -> Path:
    """The folder of keys: as named, or the nearest ``solutions/`` above `near`, here, or the checkout's."""
    if named is not None:
        if not named.is_dir():
            raise ValueError(f"--solutions {named} is not a folder")
        return named
    places = [*near.resolve().parents, Path.cwd(), *Path.cwd().parents, Path(coursekit.__file__).parents[1]]
    for place in [near.resolve(), *places]:
        if any((place / "solutions").glob("*.ipynb")):
            return place / "solutions"
    raise ValueError("there is no solutions/ folder here or above; name it with --solutions DIR")


def key_path(notebook: Path, named: Path | None) -> Path:
    """The key for a notebook: by the exercise it says it is, else by its file name."""
    from coursekit.grading.exercise.notebook import exercise_of

    solutions = find_solutions(named, notebook)
    for name in (exercise_of(notebook), notebook.stem):
        if name and (solutions / f"{Path(name).name}.ipynb").is_file():
            return solutions / f"{Path(name).name}.ipynb"
    known = ", ".join(path.stem for path in sorted(solutions.glob("*.ipynb")))
    raise ValueError(f"{notebook.name} is none of the exercises in {solutions}: {known}")
