"""What a tool shows, in one form for all tools: stretches of time with the code and the words that stand beside them."""

from dataclasses import dataclass
from typing import Final, Literal

State = Literal["runs", "awaits", "span"]
"""A thread was on this stack; a task awaited there; a tool's span or reason, which may be either."""
RUNS: Final[State] = "runs"
AWAITS: Final[State] = "awaits"
SPAN: Final[State] = "span"


@dataclass(frozen=True, slots=True)
class Frame:
    """A function of a stack, or one that a span names."""

    file: str
    function: str
    line: int = 0
    """0 where the tool does not say it."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Time that a tool shows in one place of its output."""

    ms: float
    """Per request that the tool saw, or, of a profile of the process, per request that was sent."""
    frames: tuple[Frame, ...] = ()
    """Outermost first."""
    words: str = ""
    """What else the tool says of it: names of spans from the root on, their attributes, locks, a reason's sentence."""
    of_request: bool = False
    """Whether the tool itself files it under a request of the judged endpoint."""
    state: State = SPAN
    cause: str = ""
    """Where the tool names causes: which one of analysis.causes. It is held to that; "" where it only shows."""
