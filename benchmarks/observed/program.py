"""What a known-truth program is: it makes one request wait for one thing, and knows for how long."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

Loop = Callable[[], asyncio.AbstractEventLoop]
WAIT_S = 0.08


@dataclass(frozen=True)
class Program:
    """One row of the table."""

    name: str
    cause: str
    run: Callable[[Loop], int]  # makes the request of this name; returns what it truly waited, ns
    culprit: str = ""  # pattern of who made it wait, as the table of culprits should name it; "": nobody
    note: str = ""


PROGRAMS: list[Program] = []


def program(
    name: str, cause: str, *, culprit: str = "", note: str = ""
) -> Callable[[Callable[[Loop], int]], Callable[[Loop], int]]:
    """Enters a function of the loop's factory as a program."""

    def enter(run: Callable[[Loop], int]) -> Callable[[Loop], int]:
        PROGRAMS.append(Program(name, cause, run, culprit, note))
        return run

    return enter


def loop_program(
    name: str, cause: str, *, culprit: str = "", note: str = ""
) -> Callable[[Callable[[], Coroutine[Any, Any, int]]], None]:
    """Enters a coroutine function as a program: it runs on a loop of the kind asked for."""

    def enter(main: Callable[[], Coroutine[Any, Any, int]]) -> None:
        def run(factory: Loop) -> int:
            with asyncio.Runner(loop_factory=factory) as runner:
                return runner.run(main())

        program(name, cause, culprit=culprit, note=note)(run)

    return enter
