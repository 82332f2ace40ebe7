"""Pure: what a phase's span says of its kind, and of the device that its call waited for.

A call that returns when the device is done holds its thread for the queue and the work alike. Calls are
taken to be served in the order in which they came, so one queued until the last that had come before it,
and ended while it waited, was done:

    first     |---------work---------|
    second         |~~~~~queue~~~~~~~|------work------|

Where the device itself told how long it worked (a copy on a stream that is known), the work is that.
"""

from tracer import schema as s
from tracer.observed import Attributes
from tracer.records import DeviceCall, Occupancy, Phase


def ahead_of(call: DeviceCall) -> list[Occupancy]:
    """The calls on the same device that had come before, and ended while this one was under way."""
    held = call.held
    return [
        one
        for one in list(call.line.occupancies)
        if one is not held and 0 < one.start_ns <= held.start_ns and held.start_ns < one.end_ns <= held.end_ns
    ]


def device_free_ns(call: DeviceCall) -> tuple[int, bool]:
    """When the device came to this call, and whether it said so itself; its start where nobody was before it."""
    held = call.held
    told = worked_ns(call)
    if told is not None:
        return max(held.end_ns - told, held.start_ns), True
    return min(max((one.end_ns for one in ahead_of(call)), default=held.start_ns), held.end_ns), False


def worked_ns(call: DeviceCall) -> int | None:
    """How long the device says that it worked for the call; None where it does not tell."""
    if call.worked_ns is None:
        return None
    try:
        return call.worked_ns()
    except Exception:  # the host may have shut its device down: then it is as if it did not tell
        return None


def put_phase(attributes: Attributes, phase: Phase) -> None:
    """Say the phase's kind, the short phases inside, and its device."""
    word = phase.word or phase.name.partition(":")[0]
    if phase.word or word in s.PHASES:
        attributes[s.PHASE] = word
    put_sums(attributes, phase.small or {})
    call = phase.device
    if call is None:
        return
    attributes[s.DEVICE] = call.line.name
    told = worked_ns(call)
    if told is None:
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
    else:
        attributes[s.DEVICE_NS] = min(told, phase.end_ns - phase.start_ns)


def put_sums(attributes: Attributes, sums: dict[str, int]) -> None:
    """Say how long phases without a span of their own lasted, by word."""
    for word, ns in sums.items():
        if ns > 0:
            attributes[f"{s.PHASE_SMALL_PREFIX}{word.replace(' ', '_')}_ns"] = ns
