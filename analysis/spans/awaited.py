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


def _matches(pattern: str, name: str, module: str) -> bool:
    return re.match(pattern, name) is not None or re.match(pattern, f"{module}.{name}") is not None
