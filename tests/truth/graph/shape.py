"""A *shape*: a small program of which is known who wakes whom, and what a trace of it must say.

Every wait of a shape lasts either `STEP_S` or more, or next to nothing, so that "all waits of at least
2 ms" is a closed list, written beside the program.
"""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

STEP_S = 0.02
SHORTEST_MS = 2.0

# wakers that are no activity; what they are called in the trace
TIMER, IO, THREAD = "<timer>", "<io>", "<thread>"
ROOT = "root"


class Edge(NamedTuple):
    """`waiter` waited, and `waker` ended it: names of tasks' coroutines and jobs' functions, or a mark."""

    waiter: str
    waker: str


@dataclass(frozen=True)
class Shape:
    """The program, the edges that it must show, and those that a slow machine may add."""

    program: Callable[[], Awaitable[None]]
    edges: tuple[Edge, ...]
    tolerated: tuple[Edge, ...]
    loops: tuple[str, ...]

    @property
    def name(self) -> str:
        return getattr(self.program, "__name__", "")


SHAPES: dict[str, Shape] = {}


def shape(
    *edges: tuple[str, str],
    since: tuple[int, int] = (3, 11),
    tolerated: tuple[tuple[str, str], ...] = (),
    loops: tuple[str, ...] = ("asyncio", "uvloop"),
) -> Callable[[Callable[[], Awaitable[None]]], Callable[[], Awaitable[None]]]:
    """Registers a program with its edges; one for newer Pythons is left out on older ones."""

    def register(program: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        if sys.version_info >= since:
            made = Shape(program, tuple(Edge(*one) for one in edges), tuple(Edge(*one) for one in tolerated), loops)
            assert made.name not in SHAPES, f"two shapes are called {made.name}"
            SHAPES[made.name] = made
        return program

    return register


def from_version(
    version: tuple[int, int], newer: tuple[tuple[str, str], ...], older: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """The edges of this Python: some functions of asyncio were rewritten between two versions."""
    return newer if sys.version_info >= version else older
