"""Performs a drawn program and knows its critical path: each leaf stamps itself, a gather ends with its last."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final, NamedTuple

from analysis.causes import Cause
from benchmarks.truth import grammar
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.grammar import Node, draw
from benchmarks.truth.meter import Spent, parts_of, read, since
from benchmarks.truth.record import Part
from benchmarks.truth.work import Past, spin


@dataclass(frozen=True, slots=True)
class Done:
    """When a node began and ended, and what its part of the critical path was."""

    began_ns: int
    ended_ns: int
    parts: tuple[Part, ...]


on_loop = Past()  # stretches that some program blocked the loop
locks = (threading.Lock(), threading.Lock())
held = (Past(), Past())
turns: list[asyncio.Semaphore] = []
turned = (Past(), Past())
ended_on: dict[int, int] = {}  # thread → when its last job ended


async def perform(seed: int, request: str) -> list[Part]:
    """Runs the program of that seed; returns the causes along its critical path."""
    done = await _LEAVES_AND_BRANCHES[grammar.SEQUENCE](draw(seed), request)
    return list(done.parts)


def _ready(from_ns: int, to_ns: int) -> list[Part]:
    """Somebody could have gone on: what of it the loop ran others."""
    return on_loop.parts(from_ns, to_ns, Cause.LOOP_BUSY)


async def _sequence(node: Node, request: str) -> Done:
    began_ns = perf_counter_ns()
    parts: list[Part] = []
    for one in node.children:
        done = await _LEAVES_AND_BRANCHES[one.kind](one, request)
        parts.extend(done.parts)
    return Done(began_ns, perf_counter_ns(), tuple(parts))


async def _gather(node: Node, request: str) -> Done:
    began_ns = perf_counter_ns()
    done = await asyncio.gather(*(_LEAVES_AND_BRANCHES[one.kind](one, request) for one in node.children))
    last = max(done, key=lambda one: one.ended_ns)
    resumed_ns = perf_counter_ns()
    parts = (*_ready(began_ns, last.began_ns), *last.parts, *_ready(last.ended_ns, resumed_ns))
    return Done(began_ns, resumed_ns, parts)


async def _wait(node: Node, request: str) -> Done:
    began_ns, length_ns = perf_counter_ns(), int(node.ms * 1e6)
    await asyncio.sleep(node.ms / 1_000)
    ended_ns = perf_counter_ns()
    waited_ns = min(length_ns, ended_ns - began_ns)
    return Done(
        began_ns, ended_ns, (Part(Cause.AWAIT_IO, waited_ns), *_ready(began_ns + waited_ns, ended_ns))
    )


class JobDone(NamedTuple):
    """What a job tells: when it began and ended, when its thread's job before did, and its causes."""

    began_ns: int
    ended_ns: int
    before_ns: int
    parts: tuple[Part, ...]


def _of(spent: Spent, *, computing: bool) -> tuple[Part, ...]:
    return tuple(parts_of(spent, of=Cause.COMPUTE if computing else Cause.BLOCKING_IO))


def _as_job(work: Callable[[], tuple[Part, ...]]) -> JobDone:
    began_ns, thread = perf_counter_ns(), threading.get_ident()
    before_ns = ended_on.get(thread, 0)
    parts = work()
    ended_on[thread] = ended_ns = perf_counter_ns()
    return JobDone(began_ns, ended_ns, before_ns, parts)


async def _run(executor: ThreadPoolExecutor, work: Callable[[], tuple[Part, ...]]) -> Done:
    submitted_ns = perf_counter_ns()
    done = await asyncio.get_running_loop().run_in_executor(executor, _as_job, work)
    resumed_ns = perf_counter_ns()
    queued = Part(Cause.POOL_QUEUE, max(done.before_ns - submitted_ns, 0))
    return Done(submitted_ns, resumed_ns, (queued, *done.parts, *_ready(done.ended_ns, resumed_ns)))


async def _job(node: Node, request: str) -> Done:
    def work() -> tuple[Part, ...]:
        before = read()
        if node.work == grammar.COMPUTES:
            spin(node.ms / 1_000)
        else:
            time.sleep(node.ms / 1_000)
        return _of(since(before), computing=node.work == grammar.COMPUTES)

    return await _run(pool(f"program-{node.which}", node.which), work)


async def _locked(node: Node, request: str) -> Done:
    lock, past = locks[node.which], held[node.which]

    def work() -> tuple[Part, ...]:
        asked_ns = perf_counter_ns()
        with lock:
            before = read()
            time.sleep(node.ms / 1_000)
            spent = since(before)
            past.add(before.wall_ns, perf_counter_ns(), request)
        waited = Part(Cause.LOCK_WAIT, past.overlap_ns(asked_ns, before.wall_ns))
        return (waited, *_of(spent, computing=False))

    return await _run(pool("program-8", 8), work)


async def _turn(node: Node, request: str) -> Done:
    if not turns:
        turns.extend((asyncio.Semaphore(1), asyncio.Semaphore(1)))
    asked_ns, past = perf_counter_ns(), turned[node.which]
    async with turns[node.which]:
        had_ns = perf_counter_ns()
        free_ns = max(min(past.last_end(had_ns), had_ns), asked_ns)
        done = await _wait(node, request)
        past.add(had_ns, perf_counter_ns(), request)
    parts = (Part(Cause.LIMITER_WAIT, free_ns - asked_ns), *_ready(free_ns, had_ns), *done.parts)
    return Done(asked_ns, done.ended_ns, parts)


async def _block(node: Node, request: str) -> Done:
    before = read()
    if node.work == grammar.COMPUTES:
        spin(node.ms / 1_000)
    else:
        time.sleep(node.ms / 1_000)
    spent = since(before)
    on_loop.add(before.wall_ns, before.wall_ns + spent.wall_ns, request, spent)
    return Done(before.wall_ns, perf_counter_ns(), _of(spent, computing=node.work == grammar.COMPUTES))


_LEAVES_AND_BRANCHES: Final[dict[str, Callable[[Node, str], Awaitable[Done]]]] = {
    grammar.SEQUENCE: _sequence,
    grammar.GATHER: _gather,
    grammar.WAIT: _wait,
    grammar.JOB: _job,
    grammar.LOCKED: _locked,
    grammar.TURN: _turn,
    grammar.BLOCK: _block,
}
