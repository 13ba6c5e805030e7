"""Texts that learners wrote, made fit to be looked at: nothing in them hides, acts, or turns the line around."""

from html import escape

from rich.style import Style
from rich.syntax import Syntax, SyntaxTheme

SHOWN = 20_000  # characters of an answer on a page; a longer one is cut, and says so
TURNING = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))  # they change the order in which text is shown
SHAPES = (
    {n: chr(0x2400 + n) for n in range(32) if chr(n) not in "\t\n"}
    | {127: "\u2421"}
    | {n: f"\\x{n:02x}" for n in range(128, 160)}
    | {n: f"\\u{n:04x}" for n in (*TURNING, 0x2028, 0x2029, *range(0xD800, 0xE000))}
)
KINDS = {"Keyword": "kw", "Comment": "co", "String": "st", "Number": "nu"}


def visible(text: str) -> str:
    """The text with control characters, direction marks and lone surrogates as signs that can be seen."""
    return text.replace("\r\n", "\n").translate(SHAPES)


def code_html(source: str) -> str:
    """An answer as HTML: escaped, with classes for keywords, comments, texts and numbers."""
    shown = visible(source[:SHOWN]).strip("\n")
    text = Syntax(shown, "python", theme=_Kinds()).highlight(shown)
    text.rstrip()
    parts, end = [], 0
    for span in text.spans:
        start, stop = max(span.start, end), min(span.end, len(text.plain))
        if start < stop and span.style.meta:
            inside = escape(text.plain[start:stop])
            parts += [
                escape(text.plain[end:start]),
                f'<span class="{span.style.meta["kind"]}">{inside}</span>',
            ]
            end = stop
    return "".join([*parts, escape(text.plain[end:])])


def cut_sentence(source: str) -> str:
    """What to say where an answer is too long to be shown whole; empty where it is not."""
    if len(source) <= SHOWN:
        return ""
    return f"The first {SHOWN:,} of its {len(source):,} characters."


class _Kinds(SyntaxTheme):
    """A theme without colours: it notes what a token is, and the page's style sheet colours it."""

    def get_style_for_token(self, token_type: tuple[str, ...]) -> Style:
        kind = next((KINDS[part] for part in token_type if part in KINDS), None)
        return Style(meta={"kind": kind}) if kind else Style.null()

    def get_background_style(self) -> Style:
        return Style.null()
