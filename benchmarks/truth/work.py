"""The small jobs that faults are made of; each tells what it truly did. They carry ordinary spans, as a
developer would have made them: that is what the simpler rules of `baselines.py` see."""

import functools
import time
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, NamedTuple, TypeVar

from opentelemetry import trace

from benchmarks.truth.meter import Spent, read, since

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


def _did(before: Spent) -> Did:
    import threading

    spent = since(before)
    return Did(before.wall_ns, before.wall_ns + spent.wall_ns, threading.get_ident(), spent)


@spanned
def nap(seconds: float) -> Did:
    """Sleeps."""
    before = read()
    time.sleep(seconds)
    return _did(before)


@spanned
def compute(seconds: float) -> Did:
    """Runs Python for so much CPU time."""
    before = read()
    spin(seconds)
    return _did(before)


def spin(seconds: float) -> None:
    """Runs Python for so much of the calling thread's CPU time."""
    until_ns = time.thread_time_ns() + int(seconds * 1e9)
    while time.thread_time_ns() < until_ns:
        sum(range(200))


def stamp() -> int:
    """Does nothing; when."""
    return perf_counter_ns()


class Past:
    """Stretches that somebody held something: (from, to, request), in order of their ends."""

    def __init__(self) -> None:
        self.held: list[tuple[int, int, str]] = []

    def add(self, from_ns: int, to_ns: int, request: str = "") -> None:
        """Notes one; old ones are forgotten."""
        self.held.append((from_ns, to_ns, request))
        if len(self.held) > 2_000:
            del self.held[:1_000]

    def overlap_ns(self, from_ns: int, to_ns: int) -> int:
        """How much of a stretch somebody held it; stretches of holding never overlap one another."""
        return sum(max(min(end, to_ns) - max(start, from_ns), 0) for start, end, _ in self.held)

    def chief(self, from_ns: int, to_ns: int) -> str:
        """The request that held it longest meanwhile."""
        parts: dict[str, int] = {}
        for start, end, request in self.held:
            parts[request] = parts.get(request, 0) + max(min(end, to_ns) - max(start, from_ns), 0)
        return max(parts, key=lambda one: parts[one], default="")

    def last_end(self, until_ns: int) -> int:
        """When the last holding that ended before that moment did; 0 if none."""
        return max((end for _, end, _ in self.held if end <= until_ns), default=0)
