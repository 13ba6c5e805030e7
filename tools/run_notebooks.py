"""Run lessons and solutions from top to bottom and store their outputs: ``make notebooks``.

Names after the command (``python tools/run_notebooks.py 01 02``) run those only. Times and dates are left out of
what is stored, and the interactive inputs keep their state, so that a page shows them without a kernel.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]


def run(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    started = time.monotonic()
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        extra_arguments=["--log-level=ERROR"],  # it warns of a connection that never leaves this machine
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
    )
    client.execute()
    notebook.metadata["language_info"] = {"name": "python"}
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{i}"
    nbformat.write(notebook, path)
    print(
        f"{path.relative_to(ROOT)}: {time.monotonic() - started:.0f} s, {path.stat().st_size / 1000:.0f} kB"
    )


def main(names: list[str]) -> None:
    os.environ.setdefault("COURSEKIT_HOME", str(ROOT / ".pytest_cache" / "coursekit-home"))
    for folder in ("lessons", "solutions"):
        for path in sorted((ROOT / folder).glob("*.ipynb")):
            if not names or any(path.stem.startswith(name) for name in names):
                run(path)


if __name__ == "__main__":
    main(sys.argv[1:])
