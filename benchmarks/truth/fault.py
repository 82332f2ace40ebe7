"""What a fault is, and the list of all of them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from benchmarks.truth.record import Part
from whywait.analysis.causes import Cause

Inject = Callable[[float], Awaitable[list[Part]]]
Help = Callable[[float, str], Awaitable[Any]]
Around = Callable[[float], Awaitable[None]]
LOW, MIDDLE, HIGH = "low", "middle", "high"
INTENSITIES: Final = (LOW, MIDDLE, HIGH)
FASTAPI, PLAIN = "/fault", "/plain"  # served by FastAPI, or by Starlette alone
LEAD_S: Final = 0.012  # the helping request comes this much before the victim, or after it


@dataclass(slots=True)
class Fault:
    """`inject(amount)` slows the request that awaits it and tells what it truly waited for.

    `helper(amount, request)` is what another request does meanwhile, and what it answers if that is not nothing; `prepare` and `finish` run in the service
    before and after a cell. Amounts are milliseconds unless `unit` says otherwise.
    """

    name: str
    about: str
    cause: Cause
    inject: Inject
    family: str
    amounts: tuple[float, float, float] = (10, 30, 90)
    unit: str = "ms"
    requests: tuple[int, int, int] = (4, 4, 3)
    helper: Help | None = None
    helper_first: bool = True
    prepare: Around | None = None
    finish: Around | None = None
    client: str = "plain"  # how the client sends or reads: see load.py
    measures: str = ""  # what the service's outermost layer measures besides: "send", "path", "throttled path"
    traffic: bool = True  # whether others send small requests meanwhile
    off_loop: bool = False  # it leaves the loop free: it can lie beside the critical path
    path: str = FASTAPI
    phase: str = ""  # the word for what it computes, where an adapter knows that
    last: bool = False  # right before the service is ended
    quick: bool = False
    why_not_here: Callable[[], str] = field(default=lambda: "")  # a sentence where it cannot run

    def amount(self, intensity: str) -> float:
        """How much to inject."""
        return self.amounts[INTENSITIES.index(intensity)]

    def count(self, intensity: str) -> int:
        """How many requests make a cell."""
        return self.requests[INTENSITIES.index(intensity)]


FAULTS: dict[str, Fault] = {}


def fault(cause: Cause, about: str, **more: Any) -> Callable[[Inject], Fault]:
    """Registers a function as the fault of its name; its family is its module."""

    def register(inject: Inject) -> Fault:
        name = getattr(inject, "__name__", "")
        family = inject.__module__.rsplit(".", 1)[-1]
        made = Fault(name, about, cause, inject, family, **more)
        if name in FAULTS:
            raise ValueError(f"two faults are called {name}")
        FAULTS[name] = made
        return made

    return register


def helped_by(made: Fault, *, first: bool = True) -> Callable[[Help], Help]:
    """Makes a coroutine function the helper of a fault."""

    def register(helper: Help) -> Help:
        made.helper, made.helper_first = helper, first
        return helper

    return register


def around(made: Fault, finish: Around | None = None) -> Callable[[Around], Around]:
    """Makes a coroutine function what prepares a fault's cells."""

    def register(prepare: Around) -> Around:
        made.prepare, made.finish = prepare, finish
        return prepare

    return register
