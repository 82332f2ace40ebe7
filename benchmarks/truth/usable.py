"""Which requests are scored. What the injection did not slow, or something else slowed more, is counted only.

The truth must leave no doubt about the right answer, whoever gives it: the injected cause, or each of the two of a
pair, must be clearly larger than each other cause, and than all of the wall time that was not measured.
"""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.truth import faults
from benchmarks.truth.fault import FAULTS
from benchmarks.truth.record import Part, truth_from
from whywait.analysis.causes import Cause

assert faults.__all__  # imported, they are in FAULTS
LEAST_NS: Final = 2_000_000
CLEARLY: Final = 1.25
LOST, NO_EFFECT, OUTDONE = "no trace", "no effect", "something else was larger"


def parts_of(record: Mapping[str, Any]) -> tuple[Part, ...]:
    """The true parts, longest first."""
    return truth_from({"request": "", "parts": record["parts"]}).parts


def why_not_single(record: Mapping[str, Any]) -> str:
    """Why a single fault's request is not scored; "" if it is."""
    return _why_not(record, {FAULTS[record["name"]].cause})


def why_not_pair(record: Mapping[str, Any]) -> str:
    """The same for a pair."""
    return _why_not(record, {FAULTS[name].cause for name in record["name"].split("+")})


def why_not_beside(record: Mapping[str, Any]) -> str:
    """The same for a fault beside the critical path, which is a timer."""
    if record["found"] and not record["hidden"]:
        return NO_EFFECT
    return _why_not(record, {Cause.AWAIT_IO})


def _why_not(record: Mapping[str, Any], intended: set[Cause]) -> str:
    if not record["found"]:
        return LOST
    parts = parts_of(record)
    own = [one.ns for one in parts if one.cause in intended]
    if len(own) < len(intended) or min(own) < LEAST_NS:
        return NO_EFFECT
    others = [one.ns for one in parts if one.cause not in intended]
    unmeasured = record["wall_ns"] - sum(one.ns for one in parts)
    return "" if min(own) >= CLEARLY * max([*others, unmeasured], default=0) else OUTDONE
