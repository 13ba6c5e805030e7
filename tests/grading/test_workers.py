"""Many submissions at once, where workers crash, machines differ and clusters are none."""

import os
import time
from pathlib import Path

import pytest

from coursekit.grading.course.workers import BadCluster, Cluster, Job, Local
from coursekit.grading.kernels import sandbox
from coursekit.grading.kernels.kernel import Isolation

PLAIN = Isolation()


def square(x, pool):
    return x * x


def crash(x, pool):
    os._exit(3)


def crash_once(marker, pool):
    if not Path(marker).exists():
        Path(marker).touch()
        os._exit(3)
    return "done"


def refuse(x, pool):
    raise KeyError(x)


def kernel_says(source, pool):
    kernel = pool.take()
    try:
        return kernel.run(source, 10).text.strip()
    finally:
        kernel.kill()


def owner(x, pool):
    time.sleep(0.2)
    return os.getpid()


def jobs(*calls) -> list[Job]:
    return [Job(f"{i} {function.__name__}", function, (x,), PLAIN) for i, (function, x) in enumerate(calls)]


def run(workers, *calls) -> dict:
    return {job.name: error or value for job, value, error in workers.run(jobs(*calls))}


def test_each_job_comes_back_once():
    with Local(2) as workers:
        found = run(workers, *[(square, i) for i in range(9)])
    assert found == {f"{i} square": i * i for i in range(9)}


def test_two_workers_are_two_processes():
    with Local(2) as workers:
        assert len(set(run(workers, *[(owner, i) for i in range(6)]).values())) == 2


def test_an_exception_is_the_jobs_own():
    with Local(2) as workers:
        found = run(workers, (refuse, 1), (square, 3))
    assert isinstance(found["0 refuse"], KeyError) and found["1 square"] == 9


@pytest.mark.parametrize("place", [0, 3, 7])
def test_who_kills_a_worker_fails_alone(place):
    calls = [(square, i) for i in range(8)]
    calls[place] = (crash, 0)
    with Local(2) as workers:
        found = run(workers, *calls)
    assert isinstance(found.pop(f"{place} crash"), Exception)
    assert found == {f"{i} square": i * i for i in range(8) if i != place}


def test_a_worker_that_dies_by_chance_costs_nobody_anything(tmp_path):
    with Local(1) as workers:
        assert run(workers, (crash_once, str(tmp_path / "marker")), (square, 2)) == {
            "0 crash_once": "done",
            "1 square": 4,
        }


def test_kernels_started_ahead_end_with_the_workers():
    def kernels() -> int:
        names = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
        return sum(f"ck-{os.getpid()}".encode() in name for name in names)

    with Local(1) as workers:
        assert run(workers, (kernel_says, "print(6 * 7)")) == {"0 kernel_says": "42"}
    assert kernels() == 0


@pytest.fixture(scope="module")
def cluster():
    distributed = pytest.importorskip("distributed", reason="Dask is not installed: coursekit[cluster]")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as found:
        yield found


def test_a_dask_cluster_does_the_same(cluster):
    with Cluster(cluster.scheduler_address) as workers:
        workers.check(PLAIN)
        found = run(workers, *[(owner, i) for i in range(6)], (refuse, 1))
        assert isinstance(found.pop("6 refuse"), KeyError) and len(set(found.values())) == 2
        assert [value for _, value, _ in workers.run_alone(jobs((square, 2), (square, 3)))] == [4, 9]


def test_the_sandbox_holds_on_a_cluster(cluster):
    if sandbox.missing():
        pytest.skip(sandbox.missing())
    isolated = Isolation(True)
    look = f"import os; print(os.getuid(), os.getcwd(), os.path.exists({__file__!r}))"
    with Cluster(cluster.scheduler_address) as workers:
        workers.check(isolated)
        ((_, text, error),) = workers.run([Job("look", kernel_says, (look,), isolated)])
    assert error is None and text == "65534 /tmp False"


def test_a_cluster_that_cannot_grade_is_refused(cluster, monkeypatch):
    monkeypatch.setattr("coursekit.grading.course.workers.CONNECT_S", 1)
    with pytest.raises(BadCluster, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        Cluster("tcp://127.0.0.1:1")
    with Cluster(cluster.scheduler_address) as workers:
        monkeypatch.setattr("coursekit.__version__", "0.0.0")
        with pytest.raises(BadCluster, match=r"has coursekit .* and this is 0\.0\.0"):
            workers.check(PLAIN)
