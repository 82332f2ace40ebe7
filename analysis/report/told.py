"""What all forms of the report tell: found once, where several are asked for."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from whywait.analysis.capacity.utilization import ProcessCapacity, capacity
from whywait.analysis.load.files import no_collection
from whywait.analysis.model import Analysis
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.sentences import Verdict, verdict

_STUCK: Final = (Situation.WAIT_CYCLE, Situation.HOLDS_ONE, Situation.HELD_AFTERWARDS)


class Told(NamedTuple):
    """The verdicts, those that cost clients most time first, and the limits of the processes."""

    verdicts: list[Verdict]
    processes: tuple[ProcessCapacity, ...]
    predictions: Mapping[str, Mapping[str, Any]] = MappingProxyType({})  # by endpoint, where they were asked for


@no_collection()
def told_of(analysis: Analysis) -> Told:
    """Return what there is to tell about an analysis."""
    verdicts = verdict(analysis)
    stuck = any(reason.remedy.situation in _STUCK for one in verdicts for reason in one.judgement.reasons)
    return Told(verdicts, tuple(replace(one, stuck=stuck) for one in capacity(analysis)))
