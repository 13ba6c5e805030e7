"""A folder to hand out: released notebooks, what to do with them, and the proof that no solution is in it.

The exercises read no files of their own, so a learner needs the notebooks, the course's package, and nothing else.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import coursekit
from coursekit.grading.exercise.key import BEGIN, END, Key, load_key
from coursekit.grading.exercise.release import PLACE, RELEASED, release, skeleton
from coursekit.storage import write_atomically

README, SUMS = "README.md", "SHA256SUMS"
SHORT, LONG = (
    12,
    25,
)  # letters of a line: fewer tell nothing; with more it may not even stand within another line

TEXT = """# {title}

{table}

You need Python 3.11 or newer and the package `coursekit`, {version} or newer; your instructor says where to get it.
To see whether it is there: `python -c "import coursekit; print(coursekit.__version__)"`.

1. In this folder, start `jupyter lab` and open a notebook.
2. Write each answer in its own cell, where it says `{place}` Leave the other cells as they
   are: only the answers are taken from what you hand in, so whatever an answer needs belongs in its cell.
3. Run the check under it. It says at once what differs, and for the usual mistakes gives a hint.
4. At the end choose Kernel, Restart Kernel and Run All Cells, save, and hand the notebook in under the name it has.

Your marks come from your instructor, who tries your answers on inputs that you have not seen.

`sha256sum --check {sums}` tells whether a file is still as it was handed out.
"""

CHECK = "`coursekit check"  # a paragraph with it is for who has the keys
INSTEAD = "For your marks, save the notebook and hand it in. It is tried on inputs that you have not seen."


class BadHandout(ValueError):
    """The folder cannot be written: there are other files in it, or no such exercise."""


class Leak(ValueError):
    """Something that learners must not see would be handed out."""


@dataclass(frozen=True)
class Secret:
    """A line that may not be handed out, without its blanks, and where it is from."""

    line: str
    origin: str


def hand_out(
    solutions: Path,
    folder: Path,
    exercises: Iterable[str] = (),
    title: str = "",
    due: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write the exercises into `folder`, all of them where none is named; returns the paths of what is there.

    A paragraph that tells of ``coursekit check``, which needs the keys, says instead where marks come from.
    What was handed out there before is brought up to date too. Everything is written elsewhere first, and looked
    through: :class:`Leak` says which line of which key it holds. Raises :class:`BadHandout` where the folder holds
    anything that an earlier hand-out did not write, or that was changed since.
    """
    exercises = tuple(exercises)
    keys = {path.stem: load_key(path) for path in sorted(solutions.glob("*.ipynb"))}
    unknown = [name for name in exercises if name not in keys]
    if unknown or not keys:
        known = ", ".join(keys) or "none"
        raise BadHandout(
            f"there is no key for {', '.join(unknown) or 'anything'} in {solutions}; it has {known}"
        )
    wanted = set(exercises) or set(keys)
    here = {path.stem for path in folder.glob("*.ipynb")} if folder.is_dir() else set()
    chosen = [key for name, key in keys.items() if name in wanted | here]
    files = {f"{key.name}.ipynb": _without_check(release(solutions / f"{key.name}.ipynb")) for key in chosen}
    files[README] = _readme(chosen, title, due or {})
    files[SUMS] = "".join(f"{_digest(text.encode())}  {name}\n" for name, text in files.items())
    _refuse_strangers(folder, files)
    with tempfile.TemporaryDirectory() as stage:
        for name, text in files.items():
            (Path(stage) / name).write_text(text, encoding="utf-8", newline="")
        refuse_leaks(Path(stage), keys.values())
        for name in files:
            write_atomically(folder / name, (Path(stage) / name).read_bytes())
            (folder / name).chmod(0o644)  # for learners to read, wherever the folder stands
    return [folder / name for name in files]


def _without_check(notebook: str) -> str:
    """A released notebook for whoever has no keys: it names no command that needs them."""
    data, changed = json.loads(notebook), False
    for cell in data["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and CHECK in source:
            parts = [INSTEAD if CHECK in part else part for part in source.split("\n\n")]
            cell["source"], changed = "\n\n".join(parts).splitlines(keepends=True), True
    return json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n" if changed else notebook


def refuse_leaks(folder: Path, keys: Iterable[Key]) -> int:
    """Look for the keys' hidden lines in every file of a folder; returns how many lines were looked for.

    A solution, a wrong answer, a judge or a race must not show: not as a line, and where it is long not within one
    either. Blanks are not compared. What a released answer cell says anyway is no secret. Raises :class:`Leak`.
    """
    secrets = [secret for key in keys for secret in _secrets(key)]
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            texts = list(_texts(path))
            _refuse_marks(path, texts)
            lines = {_bare(line) for text in texts for line in text.splitlines()}
            whole = "\n".join(_bare(text) for text in texts)
            for secret in secrets:
                if secret.line in lines or (len(secret.line) >= LONG and secret.line in whole):
                    raise Leak(f"{path.name} would show {secret.origin}; change the cell that gives it away")
    return len(secrets)


def _secrets(key: Key) -> Iterator[Secret]:
    for task in key.tasks.values():
        public = _bare(skeleton(task.solution))
        hidden = [
            ("the solution", _solution(task.solution)),
            ("the judge", task.judge),
            ("the race", task.race),
        ]
        hidden += [("a wrong answer", wrong.source) for wrong in task.wrongs]
        for what, source in hidden:
            for line in source.splitlines():
                bare = _bare(line)
                if len(bare) >= SHORT and bare not in public and not re.match(r"\s*(import|from)\s", line):
                    yield Secret(bare, f"a line of {what} of {task.name!r} in {key.name}: {line.strip()!r}")


def _solution(source: str) -> str:
    """What stands between the marks of an answer cell."""
    blocks = re.findall(rf"^[ \t]*{BEGIN}[ \t]*$(.*?)^[ \t]*{END}[ \t]*$", source, re.DOTALL | re.MULTILINE)
    return "\n".join(blocks)


def _refuse_marks(path: Path, texts: list[str]) -> None:
    """Refuse a file that has a mark of a solution, or a notebook with a cell whose role is not one to release."""
    for mark in (BEGIN, END):
        if any(mark in text for text in texts):
            raise Leak(f"{path.name} would show {mark!r}")
    if path.suffix == ".ipynb":
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            role = cell["metadata"].get("coursekit", {}).get("role", "given")
            if role not in RELEASED:
                raise Leak(f"{path.name} would have a {role} cell")


def _texts(path: Path) -> Iterator[str]:
    """Every text in a file: the file itself, or all that is written anywhere in a notebook."""
    text = path.read_text(encoding="utf-8")
    yield from _strings(json.loads(text)) if path.suffix == ".ipynb" else [text]


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, item in value.items():
            yield name
            yield from _strings(item)
    elif isinstance(value, list):
        yield "".join(item for item in value if isinstance(item, str))
        for item in value:
            if not isinstance(item, str):
                yield from _strings(item)


def _bare(text: str) -> str:
    return "".join(text.split())


def _readme(keys: list[Key], title: str, due: Mapping[str, str]) -> str:
    has_due = any(key.name in due for key in keys)
    rows = [
        "| notebook | | points |" + (" due |" if has_due else ""),
        "|---|---|---|" + ("---|" if has_due else ""),
    ]
    for key in keys:
        row = f"| {key.name}.ipynb | {_cell(key.title)} | {key.points} |"
        rows.append(row + (f" {due.get(key.name, '')} |" if has_due else ""))
    return TEXT.format(
        title=title or "Exercises",
        table="\n".join(rows),
        version=coursekit.__version__,
        place=PLACE,
        sums=SUMS,
    )


def _cell(text: str) -> str:
    """Fit for a cell of a table."""
    return text.replace("|", "\\|")


def _refuse_strangers(folder: Path, files: Mapping[str, str]) -> None:
    """Refuse a folder with a file that is neither as it was handed out nor as it will be."""
    if folder.exists() and not folder.is_dir():
        raise BadHandout(f"{folder} is not a folder; name one that is new or empty")
    paths = sorted(folder.iterdir()) if folder.exists() else []
    before = _read_sums(folder / SUMS)
    strangers = []
    for path in paths:
        text = files.get(path.name)
        if path.name == ".DS_Store" or (path.name == SUMS and README in before):
            continue
        if text is None or path.is_symlink() or not path.is_file():
            strangers.append(path.name)
        elif _digest(path.read_bytes()) not in (before.get(path.name), _digest(text.encode())):
            strangers.append(f"{path.name} (changed since)" if path.name in before else path.name)
    if strangers:
        raise BadHandout(
            f"{folder} holds {', '.join(strangers)}; move that away, or name a folder that is new or empty"
        )


def _read_sums(path: Path) -> dict[str, str]:
    if not path.is_file() or path.is_symlink():
        return {}
    lines = [line.split("  ", 1) for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return {line[1]: line[0] for line in lines if len(line) == 2}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
