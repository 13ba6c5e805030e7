"""Answers that are nearly the same, for the instructor's eye. Alike is not copied: a person has to look.

Each answer becomes a stream of tokens without comments, docstrings, annotations and layout. Of each run of ``K``
tokens, its variables numbered in order of appearance, a hash is taken, and of each ``WINDOW`` neighbouring hashes
the least is kept: winnowing (Schleimer, Wilkerson, Aiken, "Winnowing: local algorithms for document
fingerprinting", SIGMOD 2003). Two answers with ``K + WINDOW - 1`` tokens in common share a fingerprint for sure.
What was handed out, and what most of the class wrote, is taken away first: the task dictates it. An answer that is
alike with those of more than half of the class is left out for the same reason.
"""

import ast
import builtins
import keyword
import re
import warnings
import zlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, product

from coursekit.grading.course.gradebook import Row

K, WINDOW = 6, 4
ENOUGH = 8  # fingerprints that an answer needs of its own before it is judged
MOST = 0.5  # the share of a class whose common fingerprints count for nothing
SMALL_CLASS = 10  # answers; in fewer, "most of the class" may be two friends
FRIENDS = 3  # answers that are alike are never left out for being so common, however small the class
LONGEST = 100_000  # characters of an answer that are looked at

KEPT = frozenset(keyword.kwlist) | frozenset(dir(builtins))
TOKEN = re.compile(
    r"""
    (?P<passed> \#[^\n]* | \s+ | \\\n | (?i:[rbfu]{0,2}) (?: \"{3}.*?(?:\"{3}|\Z) | '{3}.*?(?:'{3}|\Z) ) )
  | (?P<text> (?i:[rbfu]{0,2}) (?: "(?:\\.|[^"\\\n])*"? | '(?:\\.|[^'\\\n])*'? ) )
  | (?P<name> [^\W\d]\w* )
  | (?P<other> \d[\w.]* | \*\*=? | //=? | <<=? | >>=? | -> | [-+*/%@&|^=<>!:]= | . )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Pair:
    """Two learners' answers to one task. ``likeness`` is 1 where they share every fingerprint."""

    exercise: str
    task: str
    a: str
    b: str
    likeness: float
    source_a: str
    source_b: str


@dataclass(frozen=True)
class People:
    """Two learners: how many of the answers that were compared of both are alike."""

    a: str
    b: str
    alike: int
    compared: int


@dataclass(frozen=True)
class Comparison:
    """The pairs that are alike, the most alike first; the same by person, those with the most pairs first; and by
    (exercise, task) how many answers were compared, how many were not, as too little in them is their own, and how
    many were left out, as more than half of the class shares them."""

    pairs: tuple[Pair, ...]
    people: tuple[People, ...]
    judged: Mapping[tuple[str, str], int]
    too_short: Mapping[tuple[str, str], int]
    shared: Mapping[tuple[str, str], int]


def near_identical(
    rows: Iterable[Row], given: Mapping[str, str] | None = None, threshold: float = 0.9
) -> list[Pair]:
    """The pairs of answers to one task that are alike, the most alike first; see :func:`compare`."""
    return list(compare(rows, given, threshold).pairs)


def compare(
    rows: Iterable[Row], given: Mapping[str, str] | None = None, threshold: float = 0.9
) -> Comparison:
    """Compare every answer with every other answer to the same task.

    `given` is what was handed out: the released answer cell by task, or by "exercise/task" where two exercises
    name a task alike. The likeness of two answers is Dice's coefficient of their fingerprints, from 0 to 1.
    Raises ValueError for a threshold that is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"the threshold must be above 0 and at most 1, for instance 0.9; got {threshold}")
    given = given or {}
    pairs, judged, too_short, shared = [], {}, {}, {}
    for at, answers in _answers(rows).items():
        own, short = _own(answers, given.get("/".join(at), given.get(at[1], "")))
        alike = list(_alike(own, threshold))
        common = _common(alike, len(answers))
        judged[at] = own.keys() - common
        too_short[at] = short
        shared[at] = len(answers) - short - len(judged[at])
        for a, b, likeness in alike:
            if not {a, b} & common:
                pairs.append(Pair(*at, a, b, likeness, answers[a], answers[b]))
    pairs.sort(key=lambda pair: (-pair.likeness, pair.exercise, pair.task, pair.a, pair.b))
    counts = {at: len(learners) for at, learners in judged.items()}
    return Comparison(tuple(pairs), _people(pairs, judged.values()), counts, too_short, shared)


def tokens(source: str) -> list[str]:
    """An answer as it is compared: variables with a space before them, every text as one and the same token.

    What Python cannot parse is taken as it stands, and otherwise treated alike.
    """
    found: list[str] = []
    for match in TOKEN.finditer(_plain(source[:LONGEST])):
        token = match.group()
        if match.lastgroup == "text":
            found.append('""')
        elif match.lastgroup == "name" and token not in KEPT and found[-1:] != ["."]:
            found.append(f" {token}")
        elif match.lastgroup != "passed":
            found.append(token)
    return found


def hashes(stream: list[str]) -> list[int]:
    """A hash of each run of ``K`` tokens. Variables count by their order in the run, not by their names."""
    return [_hash(stream[i : i + K]) for i in range(len(stream) - K + 1)]


def winnow(values: list[int]) -> set[int]:
    """The least of each ``WINDOW`` neighbouring hashes; of fewer than that, the least of all."""
    return {min(values[i : i + WINDOW]) for i in range(max(len(values) - WINDOW + 1, min(len(values), 1)))}


def _answers(rows: Iterable[Row]) -> dict[tuple[str, str], dict[str, str]]:
    """Source by learner, for each (exercise, task) that somebody answered."""
    answers = defaultdict(dict)
    for row in rows:
        for mark in row.result.marks:
            if mark.source.strip() and mark.status not in ("empty", "missing"):
                answers[row.result.exercise, mark.task].setdefault(row.learner, mark.source)
    return answers


def _own(answers: Mapping[str, str], handed_out: str) -> tuple[dict[str, set[int]], int]:
    """The fingerprints of each answer that has enough of its own, and how many answers are too short for it.

    What is long enough and yet not in there is what most of the class wrote.
    """
    given = set(hashes(tokens(handed_out)))
    prints = {learner: winnow(hashes(tokens(source))) - given for learner, source in answers.items()}
    common = set()
    if len(prints) >= SMALL_CLASS:
        counts = Counter(value for own in prints.values() for value in own)
        common = {value for value, n in counts.items() if n > MOST * len(prints)}
    long = {learner: values for learner, values in prints.items() if len(values) >= ENOUGH}
    own = {learner: values - common for learner, values in long.items()}
    kept = {learner: values for learner, values in own.items() if len(values) >= ENOUGH}
    return kept, len(prints) - len(long)


def _common(alike: Iterable[tuple[str, str, float]], answers: int) -> set[str]:
    """Whose answer is alike with so many others that, with it, they are more than half of the answers."""
    counts = Counter(learner for a, b, _ in alike for learner in (a, b))
    least = max(MOST * answers, FRIENDS)
    return {learner for learner, others in counts.items() if others + 1 > least}


def _people(pairs: Iterable[Pair], judged: Iterable[Collection[str]]) -> tuple[People, ...]:
    """The pairs by person, those with the most in common first."""
    counts = Counter((pair.a, pair.b) for pair in pairs)
    compared = {both: sum(both[0] in names and both[1] in names for names in judged) for both in counts}
    found = [People(*both, alike, compared[both]) for both, alike in counts.items()]
    return tuple(sorted(found, key=lambda two: (-two.alike, two.compared, two.a, two.b)))


def _alike(own: Mapping[str, set[int]], threshold: float) -> Iterator[tuple[str, str, float]]:
    """The pairs at or above the threshold. Only answers that share a fingerprint meet at all, and answers with
    the very same fingerprints meet the others once."""
    groups = defaultdict(list)
    for learner in sorted(own):
        groups[frozenset(own[learner])].append(learner)
    index, shared = defaultdict(list), Counter()
    kinds = list(groups.items())
    for number, (values, learners) in enumerate(kinds):
        yield from ((a, b, 1.0) for a, b in combinations(learners, 2))
        for value in values:
            index[value].append(number)
    for numbers in index.values():
        shared.update(combinations(numbers, 2))
    for (one, other), n in shared.items():
        (values, learners), (others, their) = kinds[one], kinds[other]
        likeness = 2 * n / (len(values) + len(others))
        if likeness >= threshold:
            yield from ((min(a, b), max(a, b), likeness) for a, b in product(learners, their))


def _hash(run: list[str]) -> int:
    names: dict[str, int] = {}
    parts = (f" {names.setdefault(token, len(names))}" if token[0] == " " else token for token in run)
    return zlib.crc32("\n".join(parts).encode("utf-8", "backslashreplace"))


def _plain(source: str) -> str:
    """The source as Python would write it, without what does nothing; as it is, where Python cannot read it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.unparse(_Bare().visit(ast.parse(source)))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


class _Bare(ast.NodeTransformer):
    """Takes away docstrings and other constants that stand alone, and annotations."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(node.arg)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value, lineno=node.lineno))
