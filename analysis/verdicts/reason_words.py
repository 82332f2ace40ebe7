"""The words of a reason about those ahead. Nothing is decided here."""

from collections.abc import Sequence
from typing import Final

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Found, Pattern
from whywait.analysis.situations.thresholds import MIN_KNOWN
from whywait.analysis.verdicts.judgement import Reason

LEAST_PART: Final = 0.1  # of what is known of the holders, from which it is told


def those_ahead(one: Reason, situations: Sequence[Found]) -> str:
    """Return what else the holders did, or all of it where no situation tells most of it; "" where little is known."""
    told = {
        found.numbers["did"]
        for found in situations
        if isinstance(found, Pattern) and found.of is one.cause and "did" in found.numbers
    }
    known = sum(part.ns for part in one.meanwhile if part.cause)
    sums: dict[Cause, int] = {}
    for part in one.meanwhile:
        if part.cause and part.cause not in told:
            sums[part.cause] = sums.get(part.cause, 0) + part.ns
    parts = [f"{cause.info.phrase} for {ns / known:.0%}" for cause, ns in sums.items() if ns >= LEAST_PART * known]
    if told:
        return "".join(f", {said}" for said in parts)
    return f"; those ahead were {', '.join(parts)} of it" if parts and known >= MIN_KNOWN * one.mean_ns else ""
