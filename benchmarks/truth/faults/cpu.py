"""No CPU: taken by other processes, by a quota, by the native threads of the service itself."""

import asyncio
import contextlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.truth.context import INSIDE, answer
from benchmarks.truth.fault import around, fault
from benchmarks.truth.faults.pools import kept, pool
from benchmarks.truth.meter import Spent, read, since
from benchmarks.truth.on_path import compute_in_worker
from benchmarks.truth.record import Part, Who, who
from benchmarks.truth.work import compute, spanned, spin
from whywait.analysis.causes import Cause

HOGS = 3
HOG = "import os\nos.sched_setaffinity(0, {%d})\nwhile True: pass"
hogs: list["subprocess.Popen[bytes]"] = []


def tie_to(processors: set[int]) -> None:
    """Every thread of this process."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), processors)


@fault(
    Cause.CPU_WAIT, "other processes compute on the service's only CPU", amounts=(10, 20, 40),
    unit="ms of CPU", measures="path", traffic=False, quick=True,
)  # fmt: skip
async def cpu_taken(ms: float) -> list[Part]:
    parts = await compute_in_worker(ms / 1_000)
    name = Path(sys.executable).name
    others = Who(name, "", 0, 0)  # as the kernel calls them
    return [Part(one.cause, one.ns, others) if one.cause == Cause.CPU_WAIT else one for one in parts]


async def dismiss(_: float) -> None:
    while hogs:
        one = hogs.pop()
        one.kill()
        one.wait()
    tie_to(kept["processors"])


@around(cpu_taken, dismiss)
async def hire(_: float) -> None:
    kept.setdefault("processors", os.sched_getaffinity(0))
    processor = max(kept["processors"])
    tie_to({processor})
    hogs.extend(subprocess.Popen([sys.executable, "-c", HOG % processor]) for _ in range(HOGS))
    await asyncio.sleep(0.15)


CPU_GROUPS = (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/cpu,cpuacct"), Path("/sys/fs/cgroup"))
PERIOD_US, QUOTA_US = 20_000, 5_000
SETTLED_S = 1.2  # services do not change their group while they serve: let everybody see the new one


def _group() -> Path | None:
    for folder in CPU_GROUPS:
        if (folder / "cpu.cfs_quota_us").exists() or (folder / "cgroup.controllers").exists():
            return folder if os.access(folder, os.W_OK) else None
    return None


def _no_group() -> str:
    return "" if _group() else "no CPU cgroup is writable here"


@fault(
    Cause.CPU_WAIT, "a cgroup's quota: a quarter of one CPU", amounts=(10, 20, 40), unit="ms of CPU",
    requests=(4, 3, 3), measures="throttled path", why_not_here=_no_group,
)  # fmt: skip
async def cgroup_quota(ms: float) -> list[Part]:
    before = read()
    did = await asyncio.get_running_loop().run_in_executor(pool("one", 1), compute, ms / 1_000)
    inside = since(before)
    answer.get()[INSIDE] = inside
    # neither running nor at the GIL: in the run queue, or throttled, which the kernel counts as neither
    back_ns = max(before.wall_ns + inside.wall_ns - did.ended_ns, 0)
    without_cpu_ns = did.spent.without_cpu_ns + back_ns - min(inside.gil_ns, back_ns)
    return [
        Part(Cause.CPU_WAIT, without_cpu_ns, Who("quota", "", 0, 0)),
        Part(Cause.COMPUTE, did.spent.cpu_ns, who(compute, within=(who(spin),))),
    ]


def _own_group() -> Path:
    folder = _group()
    if folder is None:
        raise RuntimeError("no CPU cgroup is writable")
    return folder / f"truth-{os.getpid()}"


async def _leave_group(_: float) -> None:
    own = _own_group()
    (own.parent / "cgroup.procs").write_text(str(os.getpid()))
    own.rmdir()


@around(cgroup_quota, _leave_group)
async def join_group(_: float) -> None:
    own = _own_group()
    own.mkdir(exist_ok=True)
    # what it may have it gets at once, or others who compute on the machine are the reason, and the quota does not run out
    if (own / "cpu.cfs_quota_us").exists():
        (own / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (own / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
        (own / "cpu.shares").write_text("100000")
    else:
        (own / "cpu.max").write_text(f"{QUOTA_US} {PERIOD_US}")
        (own / "cpu.weight").write_text("10000")
    (own / "cgroup.procs").write_text(str(os.getpid()))
    await asyncio.sleep(SETTLED_S)


@spanned
def predict_in_parallel(rows: int) -> Spent:
    """A native library with many more threads than there are CPUs."""
    before = read()
    kept["model"].inplace_predict(kept["rows"][:rows])
    return since(before)


@fault(
    Cause.CPU_WAIT, "OpenMP threads far more than CPUs, from several jobs at once",
    amounts=(20_000, 40_000, 80_000), unit="rows",
)  # fmt: skip
async def openmp_too_many(rows: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    jobs = [run(pool("threads", 8), predict_in_parallel, int(rows)) for _ in range(4)]
    came: list[asyncio.Future[Spent]] = []
    for job in jobs:
        job.add_done_callback(came.append)
    await asyncio.gather(*jobs)
    last = came[-1].result()  # a job may have computed longer, and yet given its result earlier
    return [
        Part(Cause.CPU_WAIT, last.queue_ns),
        Part(Cause.COMPUTE, last.cpu_ns, who(predict_in_parallel)),
        Part(Cause.LOCK_WAIT, last.asleep_ns),  # the threads of the native pool waiting for each other
    ]


@around(openmp_too_many)
async def train(_: float) -> None:
    if "model" not in kept:
        import xgboost

        dice = np.random.default_rng(1)
        kept["rows"] = dice.random((80_000, 12), dtype=np.float32)
        data = xgboost.DMatrix(kept["rows"][:500], kept["rows"][:500].sum(axis=1))
        kept["model"] = xgboost.train({"nthread": 16, "max_depth": 6}, data, 60)
        kept["model"].set_param({"nthread": 16})
