"""Pure: when a device came to a call, and whose calls were before it in the queue.

A call that returns when the device is done holds its thread for the queue and the work alike. Calls are
taken to be served in the order in which they came, so one queued until the last that had come before it,
and ended while it waited, was done:

    first     |---------work---------|
    second         |~~~~~queue~~~~~~~|------work------|

Where the device itself told how long it worked (a copy on a stream that is known), the work is that.
"""

from typing import NamedTuple

from whywait.tracer.records.occupancy import DeviceCall, Occupancy
from whywait.tracer.spans.pools.history import PoolPast


class Position(NamedTuple):
    """A call's position in the queue of a device."""

    free_ns: int  # when the device came to it: its start, where nobody was before it
    worked_ns: int | None  # how long the device says that it worked for it; None: it does not tell
    ahead: list[Occupancy]  # the calls that had come before, and ended while this one was under way


def position_of(call: DeviceCall, past: PoolPast) -> Position:
    """When the device came to the call, and who was before it."""
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
    except Exception:  # the host may have shut its device down: then it is as if it did not tell
        return None
