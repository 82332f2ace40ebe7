"""Performs a drawn program and knows its critical path: each leaf stamps itself, a gather ends with its last."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Final, NamedTuple

from benchmarks.truth import grammar
from benchmarks.truth.faults.pools import pool
from benchmarks.truth.grammar import Node, draw
from benchmarks.truth.meter import Spent, parts_of, read, since
from benchmarks.truth.record import Part
from benchmarks.truth.work import Past, spin
from whywait.analysis.causes import Cause


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
KEPT_NS: Final = 5_000_000_000
Held = list[int]  # when a job began, and ended (0: not yet)
busy: dict[str, list[Held]] = {}  # by pool


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
    return Done(began_ns, ended_ns, (Part(Cause.AWAIT_IO, waited_ns), *_ready(began_ns + waited_ns, ended_ns)))


class JobDone(NamedTuple):
    """What a job tells: when it began and ended, and its causes."""

    began_ns: int
    ended_ns: int
    parts: tuple[Part, ...]


def _of(spent: Spent, *, computing: bool) -> tuple[Part, ...]:
    return tuple(parts_of(spent, of=Cause.COMPUTE if computing else Cause.BLOCKING_IO))


def _as_job(held: list[Held], work: Callable[[], tuple[Part, ...]]) -> JobDone:
    mine: Held = [perf_counter_ns(), 0]
    held.append(mine)
    parts = work()
    mine[1] = perf_counter_ns()
    return JobDone(mine[0], mine[1], parts)


def last_full_ns(held: list[Held], workers: int, from_ns: int, to_ns: int) -> int:
    """The last moment of a stretch at which all workers had a job; its start if they never had."""
    found = from_ns
    for _, ended_ns in held:
        if from_ns < ended_ns <= to_ns:
            before = sum(begun < ended_ns and (not end or end >= ended_ns) for begun, end in held)
            if before >= workers:
                found = max(found, ended_ns)
    return found


async def _run(workers: int, work: Callable[[], tuple[Part, ...]]) -> Done:
    name = f"program-{workers}"
    held = busy.setdefault(name, [])
    submitted_ns = perf_counter_ns()
    run = asyncio.get_running_loop().run_in_executor
    done = await run(pool(name, workers), _as_job, held, work)
    resumed_ns = perf_counter_ns()
    full_ns = last_full_ns(held, workers, submitted_ns, done.began_ns)
    # from then on a worker was free, and lacked the GIL or a CPU: how much of which is not known
    queued = Part(Cause.POOL_QUEUE, full_ns - submitted_ns)
    if len(held) > 500:
        held[:] = [one for one in held if not one[1] or one[1] > submitted_ns - KEPT_NS]
    return Done(submitted_ns, resumed_ns, (queued, *done.parts, *_ready(done.ended_ns, resumed_ns)))


async def _job(node: Node, request: str) -> Done:
    def work() -> tuple[Part, ...]:
        before = read()
        if node.work == grammar.COMPUTES:
            spin(node.ms / 1_000)
        else:
            time.sleep(node.ms / 1_000)
        return _of(since(before), computing=node.work == grammar.COMPUTES)

    return await _run(node.which, work)


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

    return await _run(8, work)


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
