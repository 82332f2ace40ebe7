"""Finds when a device began a call, and the calls ahead of it in the queue. Pure.

A call that returns when the device has finished blocks its thread for queue and work alike. Calls are assumed to
be served in order of arrival, so a call was in the queue until the last earlier call that ended meanwhile had ended:

    first     |---------work---------|
    second         |~~~~~queue~~~~~~~|------work------|

If the device measured its own time (a copy on a known stream), the work is that time.
"""

from typing import NamedTuple

from whywait.tracer.records.occupancy import DeviceCall, Occupancy
from whywait.tracer.spans.pools.history import PoolPast


class Position(NamedTuple):
    """A call's position in the queue of a device."""

    free_ns: int  # when the device began it: its start without calls ahead
    worked_ns: int | None  # the device's own time for it; None: not measured
    ahead: list[Occupancy]  # earlier calls that ended while this one was open


def position_of(call: DeviceCall, past: PoolPast) -> Position:
    held = call.held
    ahead = [
        one
        for one in past.held(call.line, held.start_ns, held.end_ns)
        if one is not held and one.start_ns <= held.start_ns and held.start_ns < one.end_ns <= held.end_ns
    ]
    worked_ns = _worked_ns(call)
    if worked_ns is not None:
        return Position(max(held.end_ns - worked_ns, held.start_ns), worked_ns, ahead)
    return Position(min(max((one.end_ns for one in ahead), default=held.start_ns), held.end_ns), None, ahead)


def _worked_ns(call: DeviceCall) -> int | None:
    if call.worked_ns is None:
        return None
    try:
        return call.worked_ns()
    except Exception:  # the host may have shut its device down: then the time is unknown
        return None
