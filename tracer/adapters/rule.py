"""What one entry of a table says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from whywait.tracer.adapters.devices import Device


@dataclass(frozen=True, slots=True)
class Rule:
    """How calls of one function or method are recorded."""

    phase: str  # a word of schema.PHASES, or your own
    title: str = ""  # said of it in the span's name, instead of the class and the method
    steps: str = ""  # attribute that lists (name, estimator, ...): their transforms get names of their own
    outermost: bool = False  # only where no other adapted call is under way: it is a detail inside
    device: Callable[[Any], Device | None] | None = None  # which device a call on this object waits for
