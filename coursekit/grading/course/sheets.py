"""Tables as CSV, for spreadsheets and learning platforms: read with care, and written so that no cell is a formula."""

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

FORMULA = frozenset("=+-@＝＋－＠")  # a spreadsheet may run what begins with one of these
MAX_MB = 20


class BadSheet(ValueError):
    """The file is not the table that is wanted; the message names the file and the line."""


def read_sheet(path: Path, wanted: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table, each with its line number, as texts by column. Columns may stand in any order.

    Commas and semicolons are both understood, as spreadsheets save either. Raises :class:`BadSheet`.
    """
    if path.stat().st_size > MAX_MB * 1e6:
        raise BadSheet(f"{path} has more than {MAX_MB} MB, which is no table of a class")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadSheet(f"{path} is not UTF-8 text; save it as CSV UTF-8") from None
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(reader, [])]
        missing = [name for name in wanted if name not in names]
        if missing:
            got = ", ".join(names) or "nothing"
            raise BadSheet(f"{path}, line 1: there is no column {', '.join(missing)}; got {got}")
        return [(reader.line_num, _row(path, reader.line_num, names, row)) for row in reader if any(row)]
    except csv.Error as error:
        raise BadSheet(f"{path}, line {reader.line_num}: {error}") from None


def sheet(rows: Iterable[Sequence[object]]) -> str:
    """The text of a table. Numbers are written as they are, and texts so that no spreadsheet computes them."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    for row in rows:
        writer.writerow([guard(cell) if isinstance(cell, str) else number(cell) for cell in row])
    return out.getvalue()


def guard(text: str) -> str:
    """A text on one line, with an apostrophe before what a spreadsheet would take for a formula.

    An apostrophe is what OWASP advises against CSV injection; :func:`unguard` takes it away again.
    """
    flat = "".join(" " if unicodedata.category(c) == "Cc" else c for c in text)
    return f"'{flat}" if _lead(flat) in FORMULA else flat


def unguard(text: str) -> str:
    """The text that :func:`guard` was given."""
    return text[1:] if text.startswith("'") and _lead(text) in FORMULA else text


def number(value: float | None) -> str:
    """A number with two decimals where it needs them; empty for None."""
    if value is None:
        return ""
    text = f"{value:.2f}"
    return text.rstrip("0").rstrip(".")


def _lead(text: str) -> str:
    """The first letter that counts: spreadsheets skip blanks, and an apostrophe may already stand there."""
    return text.lstrip(" '\N{NO-BREAK SPACE}")[:1]


def _row(path: Path, line: int, names: list[str], row: list[str]) -> dict[str, str]:
    if len(row) > len(names):
        raise BadSheet(f"{path}, line {line}: got {len(row)} cells; wanted {len(names)}")
    return dict(
        zip(names, [unguard(cell.strip()) for cell in row] + [""] * (len(names) - len(row)), strict=True)
    )
