"""The small jobs that faults are made of; each tells what it truly did. They carry ordinary spans, as a
developer would have made them: that is what the simpler rules of `baselines.py` see."""

import functools
import threading
import time
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple, TypeVar

from opentelemetry import trace

from benchmarks.truth.meter import NOTHING, Spent, read, since
from benchmarks.truth.record import Part, Who
from whywait.analysis.causes import Cause

SCOPE = "service"
Function = TypeVar("Function", bound=Callable[..., Any])


class Did(NamedTuple):
    """One job: when (perf_counter_ns), on which thread, and what its thread spent."""

    began_ns: int
    ended_ns: int
    thread: int
    spent: Spent


def spanned(function: Function) -> Function:
    """Gives each call an ordinary span of the function's name."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        with trace.get_tracer(SCOPE).start_as_current_span(function.__name__):
            return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def done_since(before: Spent) -> Did:
    """What the calling thread did since that reading."""
    spent = since(before)
    return Did(before.wall_ns, before.wall_ns + spent.wall_ns, threading.get_ident(), spent)


@spanned
def nap(seconds: float) -> Did:
    """Sleeps."""
    before = read()
    time.sleep(seconds)
    return done_since(before)


@spanned
def compute(seconds: float) -> Did:
    """Runs Python for so much CPU time."""
    before = read()
    spin(seconds)
    return done_since(before)


def spin(seconds: float) -> None:
    """Runs Python for so much of the calling thread's CPU time."""
    until_ns = time.thread_time_ns() + int(seconds * 1e9)
    while time.thread_time_ns() < until_ns:
        sum(range(200))


def stamp() -> int:
    """Does nothing; when."""
    return perf_counter_ns()


class Held(NamedTuple):
    """Somebody held something; `spent` is of its thread meanwhile, where that matters."""

    from_ns: int
    to_ns: int
    request: str
    spent: Spent | None


class Past:
    """Stretches that somebody held something, in order of their ends; they never overlap one another."""

    def __init__(self) -> None:
        self.held: list[Held] = []

    def add(self, from_ns: int, to_ns: int, request: str = "", spent: Spent | None = None) -> None:
        """Notes one; old ones are forgotten."""
        self.held.append(Held(from_ns, to_ns, request, spent))
        if len(self.held) > 2_000:
            del self.held[:1_000]

    def overlap_ns(self, from_ns: int, to_ns: int) -> int:
        """How much of a stretch somebody held it."""
        return sum(_overlap_ns(one, from_ns, to_ns) for one in self.held)

    def parts(self, from_ns: int, to_ns: int, cause: Cause, by: Who | None = None) -> list[Part]:
        """The same, without what the holder's thread itself lacked then, a CPU or the GIL, and without collections."""
        found: list[Part] = []
        for one in self.held:
            ns = _overlap_ns(one, from_ns, to_ns)
            if not ns:
                continue
            share = ns / max(one.to_ns - one.from_ns, 1)
            spent = one.spent or NOTHING
            queue_ns, gil_ns, gc_ns = (int(of * share) for of in (spent.queue_ns, spent.gil_ns, spent.gc_ns))
            found += [
                Part(cause, ns - queue_ns - gil_ns - gc_ns, by),
                Part(Cause.CPU_WAIT, queue_ns),
                Part(Cause.GIL_WAIT, gil_ns),
                Part(Cause.GC_PAUSE, gc_ns),
            ]
        return found

    def chief(self, from_ns: int, to_ns: int) -> str:
        """The request that held it longest meanwhile."""
        parts: dict[str, int] = {}
        for one in self.held:
            parts[one.request] = parts.get(one.request, 0) + _overlap_ns(one, from_ns, to_ns)
        return max(parts, key=lambda one: parts[one], default="")

    def last_end(self, until_ns: int) -> int:
        """When the last holding that ended before that moment did; 0 if none."""
        return max((one.to_ns for one in self.held if one.to_ns <= until_ns), default=0)


def _overlap_ns(one: Held, from_ns: int, to_ns: int) -> int:
    return max(min(one.to_ns, to_ns) - max(one.from_ns, from_ns), 0)
