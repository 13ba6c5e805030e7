"""Many submissions at once: on the cores of this machine, or on the machines behind a Dask scheduler.

Each worker keeps kernels started ahead. A worker that dies costs nobody anything: what it was at is tried again,
alone, and only what kills its worker then, too, has failed.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.util import Finalize

import coursekit
from coursekit.grading.kernels import sandbox
from coursekit.grading.kernels.kernel import Isolation
from coursekit.grading.kernels.pool import Pool

AHEAD = 1
CONNECT_S = 10


@dataclass(frozen=True)
class Job:
    """A call for a worker: ``function(*arguments, pool=pool)``. Everything in it can be pickled."""

    name: str
    function: Callable
    arguments: tuple
    isolation: Isolation


Outcome = tuple[Job, object, BaseException | None]


def work(job: Job) -> object:
    """Do a job, in a worker. One at a time in a process: pytest, which runs the cells, is not made for more."""
    with _one_at_a_time:
        pool = _pools.get(job.isolation)
        if pool is None:
            pool = _pools[job.isolation] = Pool(job.isolation, AHEAD)
        return job.function(*job.arguments, pool=pool)


_one_at_a_time = threading.Lock()
_pools: dict[Isolation, Pool] = {}


class Local:
    """Processes of this machine. Use it as a context manager: they and their kernels end with it."""

    def __init__(self, workers: int | None = None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._executor: ProcessPoolExecutor | None = None

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Each job with its value or its exception, in the order in which they come to an end."""
        waiting = list(jobs)
        while waiting:
            left = []
            for outcome in self._round(waiting):
                if isinstance(outcome[2], BrokenProcessPool):
                    left.append(outcome[0])
                else:
                    yield outcome
            if left:
                self._end()
            # A worker died over one of the first few that are left: each of them alone, then the rest.
            left.sort(key=waiting.index)
            suspects, waiting = left[: 2 * self.workers + 1], left[2 * self.workers + 1 :]
            for job in suspects:
                for outcome in self._round([job]):
                    if outcome[2] is not None:
                        self._end()
                    yield outcome

    def run_alone(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """The same, one job at a time."""
        for job in jobs:
            yield from self.run([job])

    def _round(self, jobs: list[Job]) -> Iterator[Outcome]:
        if self._executor is None:
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(self.workers, context, initializer=_follow_parent)
        futures = {self._executor.submit(work, job): job for job in jobs}
        for future in as_completed(futures):
            yield _outcome(futures[future], future)

    def _end(self, kill: bool = False) -> None:
        """Let the workers go, which closes their kernels; or kill them, whatever they are at."""
        if self._executor is None:
            return
        # ProcessPoolExecutor.kill_workers, which Python has from 3.14.
        processes = list((self._executor._processes or {}).values())
        self._executor.shutdown(wait=not kill, cancel_futures=True)
        for process in processes if kill else ():
            process.kill()
            process.join()
        self._executor = None

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._end(kill=kind is not None)


def _outcome(job: Job, future: Future) -> Outcome:
    error = future.exception()
    return job, None if error else future.result(), error


def _follow_parent() -> None:
    """A worker leaves an interrupt to the process that started it, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Finalize(None, close_pools, exitpriority=10)

    def follow() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


class BadCluster(RuntimeError):
    """The Dask cluster cannot grade; the message says why."""


class Cluster:
    """The workers of a Dask scheduler, e.g. ``tcp://10.0.0.1:8786``. Each needs the same coursekit, and bubblewrap."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise BadCluster(
                "--scheduler needs Dask, which is not installed; pip install 'coursekit[cluster]'"
            ) from None
        try:
            self.client = Client(address, timeout=CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise BadCluster(f"no Dask scheduler answers at {address} ({error})") from None

    def check(self, isolation: Isolation) -> None:
        """Raise :class:`BadCluster` unless every worker has this version, and can isolate where that is asked."""
        found = self.client.run(_describe)
        if not found:
            raise BadCluster("the Dask scheduler has no workers; start some with: dask worker ADDRESS")
        for worker, (version, missing) in found.items():
            if version != coursekit.__version__:
                raise BadCluster(f"{worker} has coursekit {version}, and this is {coursekit.__version__}")
            if isolation.sandboxed and missing:
                raise BadCluster(f"{worker}: {missing}")

    def run(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """Each job with its value or its exception, in the order in which they come to an end."""
        from distributed import as_completed as as_dask_completes

        futures = {self.client.submit(work, job, pure=False): job for job in jobs}
        for future in as_dask_completes(list(futures), loop=self.client.loop):
            error = future.exception()
            yield futures.pop(future), None if error else future.result(), error
            future.release()

    def run_alone(self, jobs: Iterable[Job]) -> Iterator[Outcome]:
        """The same, one job at a time in the whole cluster."""
        for job in jobs:
            yield from self.run([job])

    def __enter__(self) -> "Cluster":
        return self

    def __exit__(self, *_) -> None:
        with contextlib.suppress(Exception):
            self.client.run(close_pools)
        self.client.close()


def _describe() -> tuple[str, str]:
    missing = sandbox.missing()
    return coursekit.__version__, missing and f"{missing}; {sandbox.advice()}"


def close_pools() -> None:
    """End the kernels that this process has started ahead."""
    with _one_at_a_time:
        while _pools:
            _pools.popitem()[1].close()
