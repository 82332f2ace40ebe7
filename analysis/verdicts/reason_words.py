"""The words of a reason about those ahead. Nothing is decided here."""

from collections.abc import Sequence
from typing import Final

from whywait.analysis.situations.holders.chain import by_cause
from whywait.analysis.situations.situation import Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_KNOWN
from whywait.analysis.verdicts.judgement import Reason

_STUCK: Final = (Situation.WAIT_CYCLE, Situation.HOLDS_ONE)
LEAST_PART: Final = 0.1  # of what is known of the holders, from which it is told


def of_holders(one: Reason, situations: Sequence[Pattern]) -> list[Pattern]:
    """Return the situations that tell what the holders did during this wait."""
    return [found for found in situations if found.of is one.cause and "did" in found.numbers]


def those_ahead(one: Reason, situations: Sequence[Pattern]) -> str:
    """Return what else the holders did, or all of it where no situation tells most of it; "" where little is known."""
    if any(found.of is one.cause and found.kind in _STUCK for found in situations):
        return ""  # what they did before that is no reason
    told = {found.numbers["did"] for found in of_holders(one, situations)}
    ends = by_cause(one.meanwhile)
    known = ends.total()
    parts = [
        f"{cause.info.phrase} for {ns / known:.0%}"
        for cause, ns in ends.items()
        if cause not in told and ns >= LEAST_PART * known
    ]
    if told:
        return "".join(map(", {}".format, parts))
    return f"; those ahead were {', '.join(parts)} of it" if parts and known >= MIN_KNOWN * one.mean_ns else ""
