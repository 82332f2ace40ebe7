"""Pure: what a phase's span says of its kind, and of the device that its call waited for.

A call that returns when the device is done holds its thread for the queue and the work alike. Calls are
taken to be served in the order in which they came, so one queued until the last that had come before it,
and ended while it waited, was done:

    first     |---------work---------|
    second         |~~~~~queue~~~~~~~|------work------|

Where the device itself told how long it worked (a copy on a stream that is known), the work is that.
"""

from typing import NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.records.occupancy import DeviceCall, Occupancy
from whywait.tracer.records.request import Phase
from whywait.tracer.spans.pools.history import PoolPast


class Turn(NamedTuple):
    """A call's turn on a device."""

    free_ns: int  # when the device came to it: its start, where nobody was before it
    told_ns: int | None  # how long the device says that it worked for it; None where it does not tell
    ahead: list[Occupancy]  # the calls that had come before, and ended while this one was under way


def turn_of(call: DeviceCall, past: PoolPast) -> Turn:
    """When the device came to the call, and who was before it."""
    held = call.held
    ahead = [
        one
        for one in past.held(call.line, held.start_ns, held.end_ns)
        if one is not held and one.start_ns <= held.start_ns and held.start_ns < one.end_ns <= held.end_ns
    ]
    told_ns = _worked_ns(call)
    if told_ns is not None:
        return Turn(max(held.end_ns - told_ns, held.start_ns), told_ns, ahead)
    return Turn(min(max((one.end_ns for one in ahead), default=held.start_ns), held.end_ns), None, ahead)


def _worked_ns(call: DeviceCall) -> int | None:
    if call.worked_ns is None:
        return None
    try:
        return call.worked_ns()
    except Exception:  # the host may have shut its device down: then it is as if it did not tell
        return None


def put_phase(attributes: Attributes, phase: Phase, turn: Turn | None) -> None:
    """Say the phase's kind, the short phases inside, and its device."""
    word = phase.word or phase.name.partition(":")[0]
    if phase.word or word in s.PHASES:
        attributes[s.PHASE] = word
    put_sums(attributes, phase.small or {})
    if phase.device is None or turn is None:
        return
    attributes[s.DEVICE] = phase.device.line.name
    if turn.told_ns is None:
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
    else:
        attributes[s.DEVICE_NS] = min(turn.told_ns, phase.end_ns - phase.start_ns)


def put_sums(attributes: Attributes, sums: dict[str, int]) -> None:
    """Say how long phases without a span of their own lasted, by word."""
    for word, ns in sums.items():
        if ns > 0:
            attributes[f"{s.PHASE_SMALL_PREFIX}{word.replace(' ', '_')}_ns"] = ns
