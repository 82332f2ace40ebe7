"""Requests that come while the loop is held: they wait before the service's first instruction for them. The client
says when it sent its first byte, and the blocker stamps itself.

    client           sent |............................................|
    loop       |====== blocker ==================|--read--|--handler--|
"""

import asyncio
import contextvars
import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter_ns
from typing import Any

from starlette.background import BackgroundTask
from starlette.responses import JSONResponse

from benchmarks.truth.client import KEPT, SENT_HEADER
from benchmarks.truth.context import BEGUN, INSIDE, answer, request_of
from benchmarks.truth.fault import LEAD_S, around, fault, helped_by
from benchmarks.truth.faults.cpu import dismiss, hire
from benchmarks.truth.faults.loop import blocked, hold_the_loop
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.meter import NOTHING, Spent, read, since
from benchmarks.truth.on_path import lacked
from benchmarks.truth.record import Part, Who, who
from benchmarks.truth.work import Past, spanned, spin
from whywait.analysis.causes import Cause

AMOUNTS = (40, 80, 160)
PER_MS = 40_000  # numbers that C adds in a millisecond, about


def arrived_behind(past: Past, cause: Cause, function: Callable[..., Any]) -> list[Part]:
    """What `function` held up of the time since the client sent the request, by the client's own clock."""
    sent_ns, now = int(request_of.get().headers[SENT_HEADER]), perf_counter_ns()
    return past.parts(sent_ns, now, cause, who(function, past.chief(sent_ns, now)))


@fault(
    Cause.LOOP_BUSY,
    "it comes while the handler of another request runs on the loop",
    amounts=AMOUNTS,
    client=KEPT,
    quick=True,
)
async def arrives_behind_handler(_: float) -> list[Part]:
    return arrived_behind(blocked, Cause.LOOP_BUSY, hold_the_loop)


@helped_by(arrives_behind_handler)
async def handle_slowly(ms: float, request: str) -> None:
    hold_the_loop(ms / 1_000 + LEAD_S, request)


@fault(
    Cause.LOOP_BUSY,
    "it comes while another's background task computes, after the response",
    amounts=AMOUNTS,
    quick=True,
)
async def arrives_behind_background(_: float) -> list[Part]:
    return arrived_behind(blocked, Cause.LOOP_BUSY, hold_the_loop)


async def clear_up(seconds: float, request: str) -> None:
    """What is done once the client has its answer."""
    hold_the_loop(seconds, request)


@helped_by(arrives_behind_background)
async def answer_first(ms: float, request: str) -> JSONResponse:
    return JSONResponse("helped", background=BackgroundTask(clear_up, ms / 1_000 + LEAD_S, request))


@fault(Cause.LOOP_BUSY, "it comes while a callback of nobody's runs on the loop", amounts=AMOUNTS, client=KEPT)
async def arrives_behind_callback(_: float) -> list[Part]:
    return arrived_behind(blocked, Cause.LOOP_BUSY, hold_the_loop)


@helped_by(arrives_behind_callback)
async def call_back_soon(ms: float, _: str) -> None:
    loop = asyncio.get_running_loop()
    loop.call_later(0.002, hold_the_loop, ms / 1_000 + LEAD_S - 0.002, context=contextvars.Context())


in_c = Past()


@spanned
def add_in_c(milliseconds: float, request: str) -> None:
    """One call that keeps the GIL and cannot be interrupted."""
    before = read()
    sum(range(int(milliseconds * PER_MS)))
    in_c.add(before.wall_ns, perf_counter_ns(), request, since(before))


@fault(Cause.LOOP_BUSY, "it comes while the loop is in a C call that keeps the GIL", amounts=AMOUNTS, quick=True)
async def arrives_behind_c_call(_: float) -> list[Part]:
    return arrived_behind(in_c, Cause.LOOP_BUSY, add_in_c)


@helped_by(arrives_behind_c_call)
async def call_c(ms: float, request: str) -> None:
    add_in_c(ms + LEAD_S * 1_000, request)


in_thread = Past()


@spanned
def keep_gil(milliseconds: float, request: str) -> None:
    """Sleeps in C with the GIL. How long is noted before: the loop is faster than whoever would note it afterwards."""
    sleep = ctypes.PyDLL(None).usleep
    begun_ns = perf_counter_ns()
    in_thread.add(begun_ns, begun_ns + int(milliseconds * 1e6), request)
    sleep(int(milliseconds * 1_000))


@fault(Cause.GIL_WAIT, "it comes while a thread is in a C call that keeps the GIL", amounts=AMOUNTS, traffic=False)
async def arrives_behind_gil(_: float) -> list[Part]:
    return arrived_behind(in_thread, Cause.GIL_WAIT, keep_gil)


@helped_by(arrives_behind_gil)
async def call_c_in_thread(ms: float, request: str) -> None:
    await asyncio.get_running_loop().run_in_executor(pool("threads", 8), keep_gil, ms + LEAD_S * 1_000, request)


@fault(
    Cause.CPU_WAIT, "it comes while the loop computes and other processes have its only CPU", amounts=(20, 40, 80),
    unit="ms of CPU", measures="path", traffic=False,
)  # fmt: skip
async def arrives_without_cpu(_: float) -> list[Part]:
    others = Who(Path(sys.executable).name, "", 0, 0)
    mine = answer.get()
    mine[INSIDE] = NOTHING  # all of the way through the service is on the path
    parts = [*arrived_behind(blocked, Cause.LOOP_BUSY, compute_slowly), *lacked(mine[BEGUN].without(computed.pop()))]
    return [Part(one.cause, one.ns, others) if one.cause == Cause.CPU_WAIT else one for one in parts]


computed: list[Spent] = []  # what the loop's thread had spent at the end of it


def compute_slowly(seconds: float, request: str) -> None:
    """Computes on the loop, for so much CPU time."""
    before = read()
    spin(seconds)
    blocked.add(before.wall_ns, perf_counter_ns(), request, since(before))
    computed[:] = [read()]


@helped_by(arrives_without_cpu)
async def compute_meanwhile(ms: float, request: str) -> None:
    compute_slowly(ms / 1_000, request)


around(arrives_without_cpu, dismiss)(hire)
