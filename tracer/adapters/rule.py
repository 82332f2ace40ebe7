"""One entry of a table."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from whywait.tracer.adapters.devices import Device


@dataclass(frozen=True, slots=True)
class Rule:
    """How calls of one function or method are recorded."""

    phase: str  # a word of schema.PHASES, or your own
    title: str = ""  # for the span's name, instead of class and method
    steps: str = ""  # attribute with a list of (name, estimator, ...): their transforms get names of their own
    outermost: bool = False  # only outside other marked calls: inside one it is a detail
    device: Callable[[Any], Device | None] | None = None  # the device that a call on this object waits for
