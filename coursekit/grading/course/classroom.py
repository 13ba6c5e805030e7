"""Grading a class: ``FOLDER/<learner>/<notebook>.ipynb`` in, one row a learner and exercise out."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from coursekit.grading.course.folder import BadClass, Class, read_class
from coursekit.grading.course.gradebook import RACING, Gradebook, Row, Run, writable
from coursekit.grading.course.lock import alone
from coursekit.grading.course.records import read_handed_in
from coursekit.grading.course.workers import Cluster, Job, Local
from coursekit.grading.exercise.key import Key
from coursekit.grading.exercise.notebook import BadNotebook
from coursekit.grading.exercise.submission import find, read_answers
from coursekit.grading.kernels import sandbox
from coursekit.grading.kernels.kernel import Isolation, sweep
from coursekit.grading.marking.grade import draw_seed, expected, mark
from coursekit.grading.marking.race import add_races, has_to_race
from coursekit.grading.marking.result import Result

__all__ = ["RACING", "BadClass", "Class", "Options", "grade_class", "read_class"]


@dataclass(frozen=True)
class Options:
    """How a class is graded. ``workers`` (default: the cores) and ``scheduler`` (a Dask address) exclude each other;
    ``regrade`` marks what has not changed, too."""

    seed: int | None = None
    workers: int | None = None
    scheduler: str | None = None
    sandboxed: bool = True
    regrade: bool = False


@dataclass(frozen=True)
class Submission:
    """What a learner handed in for an exercise: its answers, or the result where there is nothing to run."""

    learner: str
    key: Key
    digest: str
    handed_in: str | None
    answers: dict[str, str] | None = None
    notes: tuple[str, ...] = ()
    result: Result | None = None


def grade_class(
    group: Class,
    gradebook: Gradebook,
    options: Options | None = None,
    progress: Callable[[str], None] | None = None,
) -> Iterator[Row]:
    """Grade a class into a gradebook, a submission at a time, yielding each row when it stands.

    What was graded before and has not changed is yielded as it is; a run that was stopped goes on with its seed.
    A submission that breaks the grader itself becomes a row that says so. Raises
    :class:`~coursekit.grading.kernels.sandbox.NoSandbox` where isolation is asked for and cannot be had, and
    :class:`BadClass` where another run is writing to the gradebook.
    """
    options, told = options or Options(), progress or (lambda text: None)
    isolation = Isolation(options.sandboxed, (group.folder, group.solutions, gradebook.path))
    if options.sandboxed and not options.scheduler:
        sandbox.require()
    with alone(gradebook.path), _workers(options, isolation) as workers:
        sweep()
        yield from _Grading(gradebook, isolation, workers, options, told).grade(group)


class _Grading:
    """One run over a class."""

    def __init__(self, gradebook, isolation, workers, options, told) -> None:
        self.gradebook, self.isolation, self.workers, self.told = gradebook, isolation, workers, told
        self.regrade = options.regrade
        self.run = gradebook.unfinished_run(isolation.name, options.seed)
        if self.run is None:
            seed = draw_seed() if options.seed is None else options.seed
            self.run = gradebook.start_run(seed, isolation.name)

    def grade(self, group: Class) -> Iterator[Row]:
        kept = {(row.learner, row.result.exercise): row for row in self.gradebook.rows()}
        times = read_handed_in(group.folder)
        for key in group.keys:
            self.told(f"{key.name}: reading")
            to_mark, to_race = [], []
            for submission in (_read(folder, key, times) for folder in group.learners):
                row = kept.get((submission.learner, key.name))
                if row is not None and self._stands(row, submission):
                    if row.result.status == RACING:
                        to_race.append((submission, row))
                    else:
                        yield row
                elif submission.result is not None:
                    yield self._record(submission, submission.result)
                else:
                    to_mark.append(submission)
            if to_mark:
                for row, submission in self._mark(key, to_mark):
                    if row.result.status == RACING:
                        to_race.append((submission, row))
                    else:
                        yield row
            yield from self._race(key, to_race)
        self.gradebook.finish_run(self.run)

    def _stands(self, row: Row, submission: Submission) -> bool:
        """Whether a row needs no grading anew: nothing changed since, or this very run wrote it."""
        same = (row.digest, row.key_digest) == (submission.digest, submission.key.digest)
        same = same and row.handed_in == submission.handed_in and row.result.status != "failed"
        as_safe = row.sandbox == self.isolation.name or not self.isolation.sandboxed
        return same and as_safe and (row.run == self.run.id or not self.regrade)

    def _mark(self, key: Key, todo: list[Submission]) -> Iterator[tuple[Row, Submission]]:
        self.told(f"{key.name}: running the key")
        ((_, wanted, error),) = self.workers.run([self._job(key.name, expected, key, self.run.seed)])
        if error:
            raise error
        self.told(key.name)
        by_learner = {submission.learner: submission for submission in todo}
        jobs = [self._job(s.learner, mark, key, s.answers, wanted, self.run.seed, s.notes) for s in todo]
        for job, result, error in self.workers.run(jobs):
            submission = by_learner[job.name]
            if error:
                result = _failed(key, error)
            elif has_to_race(key, result):
                result = replace(result, status=RACING, message="its speed was not measured yet")
            else:
                result = add_races(key, submission.answers, result)  # none is right, so none is run
            yield self._record(submission, result), submission

    def _race(self, key: Key, todo: list[tuple[Submission, Row]]) -> Iterator[Row]:
        """The races, one after the other, when nothing else is at work. A row keeps the seed that marked it."""
        by_learner = {submission.learner: submission for submission, _ in todo}
        runs = {s.learner: Run(row.run, row.seed, row.sandbox) for s, row in todo}
        graded = [(s, replace(row.result, status="graded", message="")) for s, row in todo]
        jobs = [self._job(s.learner, add_races, key, s.answers, result) for s, result in graded]
        marked = {submission.learner: result for submission, result in graded}
        for count, (job, result, error) in enumerate(self.workers.run_alone(jobs), 1):
            self.told(f"{key.name}: race {count} of {len(jobs)}")
            if error:
                said = f"its speed was not measured, which is no fault of its learner: {error}"
                result = replace(marked[job.name], status=RACING, message=said)
            run = runs[job.name] if runs[job.name].sandbox == self.run.sandbox else self.run
            yield self._record(by_learner[job.name], result, run)

    def _job(self, name: str, function: Callable, *arguments) -> Job:
        return Job(name, function, arguments, self.isolation)

    def _record(self, submission: Submission, result: Result, run: Run | None = None) -> Row:
        row = Row(
            learner=submission.learner,
            result=result,
            digest=submission.digest,
            key_digest=submission.key.digest,
            handed_in=submission.handed_in,
        )
        return self.gradebook.record(run or self.run, writable(row))


def _failed(key: Key, error: BaseException) -> Result:
    message = f"grading it failed: {error!r}; tell the maintainers"
    return Result(key.name, "failed", message, possible=key.points)


def _read(folder: Path, key: Key, times: dict) -> Submission:
    """What a learner's folder holds for an exercise; whatever is wrong with it becomes a result."""
    learner = writable(folder.name)
    path, notes, answers, result = None, (), None, None
    try:
        found = find(folder, key)
        path, notes = found.path, (found.message,) if found.path and found.message else ()
        if path is None:
            result = Result(key.name, found.status, found.message, possible=key.points)
        else:
            read = read_answers(path, key)
            answers, notes = read.sources, (*notes, *read.notes)
    except (BadNotebook, OSError) as error:
        result = Result(key.name, "broken", str(error), possible=key.points)
    except Exception as error:
        message = f"reading it failed: {error!r}; tell the maintainers"
        result = Result(key.name, "failed", message, possible=key.points)
    when = times.get((learner, path.name)) if path else None
    content = answers if result is None else result
    digest = hashlib.sha256(repr((content, notes)).encode("utf-8", "backslashreplace")).hexdigest()
    return Submission(learner, key, digest, when and when.isoformat(), answers, notes, result)


def _workers(options: Options, isolation: Isolation) -> Local | Cluster:
    if options.workers is not None and options.workers < 1:
        raise BadClass(f"--workers is {options.workers}; wanted: 1 or more")
    if not options.scheduler:
        return Local(options.workers)
    if options.workers is not None:
        raise BadClass("--workers and --scheduler exclude each other: a Dask cluster has its own workers")
    cluster = Cluster(options.scheduler)
    cluster.check(isolation)
    return cluster
