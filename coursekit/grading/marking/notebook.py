"""All that there is to mark in one notebook: its answers, then their speed."""

from collections.abc import Callable, Mapping
from pathlib import Path

from coursekit.grading.exercise.key import Key
from coursekit.grading.exercise.notebook import BadNotebook
from coursekit.grading.exercise.submission import read_answers
from coursekit.grading.kernels.pool import Pool
from coursekit.grading.marking.grade import mark
from coursekit.grading.marking.race import add_races
from coursekit.grading.marking.result import Result


def mark_file(
    key: Key,
    path: Path,
    wanted: Mapping,
    seed: int,
    progress: Callable[[str], None] | None = None,
    pool: Pool | None = None,
) -> Result:
    """Mark a learner's notebook against what ``expected`` returned for the seed. A file that is no notebook gives a
    result that says so."""
    try:
        answers = read_answers(path, key)
    except (BadNotebook, OSError) as error:
        return Result(key.name, "broken", str(error), possible=key.points)
    told = progress and (lambda step: progress(step.label))
    result = mark(key, answers.sources, wanted, seed, answers.notes, told, pool)
    return add_races(key, answers.sources, result, pool, progress)
