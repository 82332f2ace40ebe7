"""What all forms of the report tell: found once, where several are asked for."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from whywait.analysis.capacity.utilization import ProcessCapacity, capacity
from whywait.analysis.load.files import no_collection
from whywait.analysis.model import Analysis
from whywait.analysis.verdicts.sentences import Verdict, verdict


class Told(NamedTuple):
    """The verdicts, those that cost clients most time first, and the limits of the processes."""

    verdicts: list[Verdict]
    processes: tuple[ProcessCapacity, ...]
    predictions: Mapping[str, Mapping[str, Any]] = MappingProxyType({})  # by endpoint, where they were asked for


@no_collection()
def told_of(analysis: Analysis) -> Told:
    """Return what there is to tell about an analysis."""
    return Told(verdict(analysis), capacity(analysis))
