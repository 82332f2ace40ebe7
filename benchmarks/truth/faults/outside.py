"""Others: a slow service downstream, and worker processes that are handed large things."""

import asyncio
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter_ns
from typing import Any

from opentelemetry import trace

from benchmarks.truth.fault import around, fault
from benchmarks.truth.faults.pools import kept
from benchmarks.truth.meter import read, since
from benchmarks.truth.record import Part, who
from benchmarks.truth.work import SCOPE, spin
from whywait.analysis.causes import Cause

DOWNSTREAM_VARIABLE = "TRUTH_DOWNSTREAM"  # port of a server that answers a line of seconds after so long


async def ask_downstream(seconds: float) -> bytes:
    """One call of another service."""
    with trace.get_tracer(SCOPE).start_as_current_span("ask_downstream"):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ[DOWNSTREAM_VARIABLE]))
        writer.write(f"{seconds}\n".encode())
        answer = await reader.readline()
        writer.close()
        return answer


@fault(Cause.AWAIT_IO, "a service downstream answers slowly", quick=True)
async def downstream_slow(ms: float) -> list[Part]:
    asked_ns = perf_counter_ns()
    answered_ns = int(await ask_downstream(ms / 1_000))  # by the same clock: it is the machine's
    return [Part(Cause.AWAIT_IO, answered_ns - asked_ns)]


@fault(Cause.AWAIT_IO, "a timer: retrying after a pause")
async def pause(ms: float) -> list[Part]:
    before = read()
    with trace.get_tracer(SCOPE).start_as_current_span("pause"):
        await asyncio.sleep(ms / 1_000)
    return [Part(Cause.AWAIT_IO, min(int(ms * 1e6), since(before).wall_ns))]


pickled: list[tuple[int, int]] = []


class Parcel:
    """Something that takes long to pickle."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __reduce__(self) -> tuple[Any, ...]:
        before = read()
        wrap_up(self.seconds)
        pickled.append((before.wall_ns, since(before).cpu_ns))
        return Parcel, (0.0,)


def wrap_up(seconds: float) -> None:
    """What pickling is made of."""
    spin(seconds)


def open_parcel(_: Parcel) -> None:
    """What the worker does with it."""


@fault(Cause.COMPUTE, "a worker process is handed something that takes long to pickle")
async def pickling(ms: float) -> list[Part]:
    pickled.clear()
    with trace.get_tracer(SCOPE).start_as_current_span("open_parcel"):
        await asyncio.get_running_loop().run_in_executor(kept["processes"], open_parcel, Parcel(ms / 1_000))
    # where the job was submitted, or what computes in the pool's thread that pickles
    to_blame = who(open_parcel, within=tuple(map(who, (pickling.inject, Parcel.__reduce__, wrap_up, spin))))
    return [Part(Cause.COMPUTE, sum(cpu_ns for _, cpu_ns in pickled), to_blame)]


def doze(seconds: float) -> int:
    """Sleeps in a worker process; how long."""
    began_ns = perf_counter_ns()
    time.sleep(seconds)
    return perf_counter_ns() - began_ns


@fault(Cause.BLOCKING_IO, "a sleep in a worker process", off_loop=True)
async def sleep_in_process(ms: float) -> list[Part]:
    slept_ns = await asyncio.get_running_loop().run_in_executor(kept["processes"], doze, ms / 1_000)
    return [Part(Cause.BLOCKING_IO, slept_ns, who(doze))]


@fault(Cause.POOL_QUEUE, "three jobs of one request on a pool of one process", off_loop=True, quick=True)
async def processes_too_few(ms: float) -> list[Part]:
    run = asyncio.get_running_loop().run_in_executor
    submitted_ns = perf_counter_ns()
    jobs = [run(kept["processes"], doze_from_to, ms / 2_000) for _ in range(3)]
    done = sorted(await asyncio.gather(*jobs))
    (_, freed_ns), (began_ns, ended_ns) = done[-2:]
    return [
        Part(Cause.POOL_QUEUE, freed_ns - submitted_ns, who(doze_from_to)),
        Part(Cause.BLOCKING_IO, ended_ns - began_ns, who(doze_from_to)),
    ]


def doze_from_to(seconds: float) -> tuple[int, int]:
    """Sleeps in a worker process; from when to when, by the machine's clock."""
    began_ns = perf_counter_ns()
    time.sleep(seconds)
    return began_ns, perf_counter_ns()


async def start_processes(_: float) -> None:
    if "processes" not in kept:
        made = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))
        await asyncio.get_running_loop().run_in_executor(made, doze, 0)
        kept["processes"] = made


around(pickling)(start_processes)
around(sleep_in_process)(start_processes)
around(processes_too_few)(start_processes)
