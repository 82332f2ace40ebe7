"""What was awaited, by the contract's patterns of functions (schema.FOR_*). Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from whywait.analysis.spans.span_table import Bools
from whywait.tracer import schema


def awaits(attributes: Mapping[str, Any], pattern: str) -> bool:
    """Return whether a wait with these attributes was for a function whose dotted name, or module and name, matches from
    the start."""
    return _matches(pattern, str(attributes.get(schema.FOR) or ""), str(attributes.get(schema.FOR_MODULE) or ""))


def all_awaits(names: Iterable[str], modules: Iterable[str], pattern: str) -> Bools:
    """Return the same for many waits, by the columns of their attributes FOR and FOR_MODULE."""
    asked = list(zip(names, modules, strict=True))
    known = {one: _matches(pattern, *one) for one in set(asked)}
    return np.array([known[one] for one in asked], dtype=bool)


def is_limit(attributes: Mapping[str, Any]) -> bool:
    """Return whether a time limit ended the wait with these attributes."""
    inside = awaits(attributes, schema.FOR_LIBRARY) or schema.FOR_CALL in attributes  # a client's own future
    fired = attributes.get(schema.WAKER_KIND) == schema.WAKER_TIMER and inside and not is_paced(attributes)
    return fired and not awaits(attributes, f"{schema.FOR_SLEEP}|{schema.FOR_SLICED}")


def is_called_later(attributes: Mapping[str, Any]) -> bool:
    """Return whether a call that a timer made, as of `loop.call_later`, began what a future of the user's code waited for."""
    others = awaits(attributes, f"{schema.FOR_LIBRARY}|{schema.FOR_SLEEP}") or schema.FOR_CALL in attributes
    return attributes.get(schema.WAKER_KIND) == schema.WAKER_TIMER and not others


def is_paced(attributes: Mapping[str, Any]) -> bool:
    """Return whether a rate limiter made it wait."""
    return is_of(attributes, schema.PACKAGE_PACES)


def is_of(attributes: Mapping[str, Any], packages: str) -> bool:
    """Return whether the library's function that it was in is of these packages (schema.PACKAGE_*)."""
    return re.match(packages, str(attributes.get(schema.FOR_PACKAGE) or "")) is not None


def _matches(pattern: str, name: str, module: str) -> bool:
    return re.match(pattern, name) is not None or re.match(pattern, f"{module}.{name}") is not None
