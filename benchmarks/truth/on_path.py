"""A request's way through a worker thread and back, where the GIL or a CPU is short on all of it:

    loop    |--begin--|submit                          |--back--|--end--|
    worker            |--taking--|======job======|

What the loop's thread lacked while the worker had the request is not on the path; app.Measured adds what it
lacked before and after.
"""

import asyncio

from benchmarks.truth.context import INSIDE, answer
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.meter import NOTHING, Spent, parts_of, read, since
from benchmarks.truth.record import Part, Who, who
from benchmarks.truth.work import Did, compute, spin
from whywait.analysis.causes import Cause

_ended: list[Spent] = []
POOL = "one"


def _after_the_last(seconds: float) -> tuple[Did, Spent]:
    """Computes; also what this thread, the pool's only one, spent since it last did."""
    since_last = since(_ended.pop()) if _ended else NOTHING
    did = compute(seconds)
    _ended.append(read())
    return did, since_last


async def compute_in_worker(seconds: float, holder: Who | None = None) -> list[Part]:
    """Computes in a worker; `holder` is who has the GIL meanwhile."""
    before = read()
    did, idle = await asyncio.get_running_loop().run_in_executor(pool(POOL, 1), _after_the_last, seconds)
    inside = since(before)
    answer.get()[INSIDE] = inside
    taking_ns = max(did.began_ns - before.wall_ns, 0)
    back_ns = max(before.wall_ns + inside.wall_ns - did.ended_ns, 0)
    own = parts_of(did.spent, who(compute, within=(who(spin),)))
    parts = [*lacked(idle, taking_ns), *own, *lacked(inside, back_ns)]
    return [Part(one.cause, one.ns, holder) if one.cause == Cause.GIL_WAIT else one for one in parts]


def lacked(spent: Spent, within_ns: int | None = None) -> list[Part]:
    """GIL and CPU that a thread lacked, no more than the stretch that it is about (all of `spent`)."""
    within_ns = spent.wall_ns if within_ns is None else within_ns
    gil_ns = min(spent.gil_ns, within_ns)
    return [Part(Cause.GIL_WAIT, gil_ns), Part(Cause.CPU_WAIT, min(spent.queue_ns, within_ns - gil_ns))]
