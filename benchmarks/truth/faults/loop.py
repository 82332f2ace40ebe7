"""The event loop: blocked by the handler itself, by another request, by callbacks, by the order of collection."""

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable
from time import perf_counter_ns

from benchmarks.truth.fault import LEAD_S, fault, helped_by
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.meter import Spent, parts_of, read, since
from benchmarks.truth.record import Part, Who, who
from benchmarks.truth.work import Did, Past, nap, spanned, spin
from whywait.analysis.causes import Cause

blocked = Past()
WAIT_S = 0.02
TINY_S = 40e-6


@spanned
def read_file(seconds: float) -> int:
    """A call that blocks the loop, as a slow file would; what it slept."""
    before = read()
    time.sleep(seconds)
    return since(before).asleep_ns


@fault(Cause.BLOCKING_IO, "the handler blocks the loop itself", quick=True)
async def blocked_by_itself(ms: float) -> list[Part]:
    return [Part(Cause.BLOCKING_IO, read_file(ms / 1_000), who(read_file))]


@spanned
def hold_the_loop(seconds: float, request: str = "") -> None:
    """Runs Python on the loop."""
    before = read()
    until_ns = before.wall_ns + int(seconds * 1e9)
    while perf_counter_ns() < until_ns:
        sum(range(200))
    blocked.add(before.wall_ns, perf_counter_ns(), request, since(before))


async def _one_job(by: Callable[[str], Who]) -> list[Part]:
    did = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), nap, WAIT_S)
    resumed_ns = perf_counter_ns()
    culprit = by(blocked.chief(did.ended_ns, resumed_ns))
    return [
        *blocked.parts(did.ended_ns, resumed_ns, Cause.LOOP_BUSY, culprit),
        *parts_of(did.spent, who(nap), Cause.BLOCKING_IO),
    ]


@fault(
    Cause.LOOP_BUSY, "another request runs on the loop when the job is done",
    amounts=(40, 80, 160), quick=True,
)  # fmt: skip
async def blocked_by_another(ms: float) -> list[Part]:
    return await _one_job(lambda request: who(hold_the_loop, request))


@helped_by(blocked_by_another, first=False)
async def block(ms: float, request: str) -> None:
    hold_the_loop(ms / 1_000 + WAIT_S - LEAD_S, request)


@fault(Cause.LOOP_BUSY, "a callback of nobody's runs on the loop when the job is done", amounts=(40, 80, 160))
async def blocked_by_callback(ms: float) -> list[Part]:
    loop = asyncio.get_running_loop()
    loop.call_later(WAIT_S * 0.7, hold_the_loop, ms / 1_000 + WAIT_S * 0.3, context=contextvars.Context())
    return await _one_job(lambda _: who(hold_the_loop))


def tick() -> None:
    """One of very many short callbacks."""
    until_ns = perf_counter_ns() + int(TINY_S * 1e9)
    while perf_counter_ns() < until_ns:
        pass


@fault(Cause.LOOP_BUSY, "thousands of short callbacks come first", amounts=(40, 80, 160))
async def many_callbacks(ms: float) -> list[Part]:
    loop = asyncio.get_running_loop()
    nobody = contextvars.Context()

    def burst() -> None:
        before = read()
        for _ in range(int((ms / 1_000 + WAIT_S * 0.3) / TINY_S)):
            loop.call_soon(tick, context=nobody)
        loop.call_soon(lambda: blocked.add(before.wall_ns, perf_counter_ns(), spent=since(before)), context=nobody)

    loop.call_later(WAIT_S * 0.7, burst, context=nobody)
    return await _one_job(lambda _: who(tick))


RESULTS = 5


@spanned
def handle(seconds: float) -> None:
    """What a collector does with a result."""
    spin(seconds)


@fault(
    Cause.COLLECT_ORDER, "the loop handles the request's other results first", amounts=(40, 80, 160),
    quick=True,
)  # fmt: skip
async def collected_late(ms: float) -> list[Part]:
    together = threading.Barrier(RESULTS)
    lay: list[tuple[int, int, Spent]] = []

    def job() -> Did:
        together.wait()
        return nap(0.003)

    async def collect() -> None:
        did = await asyncio.get_running_loop().run_in_executor(pool("threads", 8), job)
        before = read()
        handle(ms / 1_000 / (RESULTS - 1))
        own = since(before)
        handled.add(before.wall_ns, before.wall_ns + own.wall_ns, spent=own)
        lay.append((before.wall_ns, did.ended_ns, own))

    handled = Past()
    await asyncio.gather(*(collect() for _ in range(RESULTS)))
    begun_ns, done_ns, own = max(lay)
    by = who(handle, within=(who(spin), who(collected_late.inject, name="")))
    return [*handled.parts(done_ns, begun_ns, Cause.COLLECT_ORDER, by), *parts_of(own, by)]
