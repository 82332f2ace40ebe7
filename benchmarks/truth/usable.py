"""Which requests are scored. What the injection did not slow, or something else slowed more, is counted only.

The truth must leave no doubt about the right answer, whoever gives it: in a single fault the injected cause must
be more than half of the request's wall time, so that no other can be larger; in a pair each of the two must be
larger than the third and than all that was not measured.
"""

from collections.abc import Mapping
from typing import Any, Final

from benchmarks.truth.fault import FAULTS
from benchmarks.truth.record import Part, truth_from

LEAST_NS: Final = 2_000_000
DOMINANT: Final = 0.55
CLEARLY: Final = 1.25
LOST, NO_EFFECT, OUTDONE = "no trace", "no effect", "something else was larger"


def parts_of(record: Mapping[str, Any]) -> tuple[Part, ...]:
    """The true parts, longest first."""
    return truth_from({"request": "", "parts": record["parts"]}).parts


def why_not_single(record: Mapping[str, Any]) -> str:
    """Why a single fault's request is not scored; "" if it is."""
    if not record["found"]:
        return LOST
    intended = FAULTS[record["name"]].cause
    own = next((one for one in parts_of(record) if one.cause == intended), None)
    if own is None or own.ns < LEAST_NS:
        return NO_EFFECT
    return "" if own.ns >= DOMINANT * record["wall_ns"] else OUTDONE


def why_not_pair(record: Mapping[str, Any]) -> str:
    """The same for a pair."""
    if not record["found"]:
        return LOST
    parts = parts_of(record)
    intended = {FAULTS[name].cause for name in record["name"].split("+")}
    own = [one for one in parts if one.cause in intended]
    if len(own) < 2 or min(one.ns for one in own) < LEAST_NS:
        return NO_EFFECT
    others = [one.ns for one in parts if one.cause not in intended]
    unmeasured = record["wall_ns"] - sum(one.ns for one in parts)
    rest = max([*others, unmeasured], default=0)
    return "" if min(one.ns for one in own) >= CLEARLY * rest else OUTDONE


def why_not_beside(record: Mapping[str, Any]) -> str:
    """The same for a fault beside the critical path."""
    if not record["found"]:
        return LOST
    parts = parts_of(record)
    if not parts or not record["hidden"]:
        return NO_EFFECT
    return "" if parts[0].ns >= DOMINANT * record["wall_ns"] else OUTDONE
