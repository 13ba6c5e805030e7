"""Numbers with units, and tables as plain text and as HTML."""

from collections.abc import Sequence
from html import escape

_PREFIXES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def significant(value: float, digits: int = 3) -> str:
    """`value` with `digits` significant digits and no exponent: 0.0123, 1.23, 123, 12300."""
    if value == 0 or value != value or value in (float("inf"), float("-inf")):
        return f"{value:g}"
    text = f"{float(f'{value:.{digits - 1}e}'):.15f}"
    whole = len(text.split(".")[0].lstrip("-0"))
    if whole >= digits:
        return text.split(".")[0]
    leading_zeros = len(text.split(".")[1]) - len(text.split(".")[1].lstrip("0")) if whole == 0 else 0
    return f"{float(text):.{digits - whole + leading_zeros}f}"


def seconds(value: float) -> str:
    """A duration in seconds, printed in the unit that suits it: '12.3 µs', '4.56 ms', '7.89 s'."""
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if abs(value) >= scale:
            return f"{significant(value / scale)} {unit}"
    return f"{significant(value / 1e-9)} ns"


def si(value: float, unit: str = "") -> str:
    """`value` with a decimal prefix: si(1.2e9, 'FLOP') is '1.20 GFLOP'."""
    for scale, prefix in _PREFIXES:
        if abs(value) >= scale:
            return f"{significant(value / scale)} {prefix}{unit}".rstrip()
    return (f"{value:g}" if float(value).is_integer() else significant(value)) + (f" {unit}" if unit else "")


def binary(nbytes: float) -> str:
    """A size in bytes with a binary prefix: '32 KiB', '1.5 MiB'."""
    for shift, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if nbytes >= 1 << shift:
            return f"{nbytes / (1 << shift):.3g} {unit}"
    return f"{nbytes:g} B"


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in plain text: the first column left-aligned, the others right-aligned."""
    lines = [list(header), *[list(row) for row in rows]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    ruled = [lines[0], ["-" * width for width in widths], *lines[1:]]
    return "\n".join(_aligned(line, widths) for line in ruled)


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    others = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
    return "  ".join([first, *others]).rstrip()


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "") -> str:
    """The same table in HTML, with header cells that a screen reader can use."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f'<td style="text-align:right">{escape(cell)}</td>' for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f"<table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
