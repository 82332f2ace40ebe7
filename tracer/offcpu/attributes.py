"""Who held the GIL, and who had the CPUs, as attributes of a span."""

from collections.abc import Sequence

from whywait.tracer import schema as s
from whywait.tracer.offcpu.cpu_contention import Division
from whywait.tracer.offcpu.gil_holders import Holder

Attributes = dict[str, str | int | float | bool | list[str] | list[int]]


def put_holders(attributes: Attributes, holders: Sequence[Holder]) -> None:
    """Adds the arrays that name who held the GIL, where anybody is known."""
    if not holders:
        return
    attributes[s.HOLDER_NAMES] = [one.name for one in holders]
    attributes[s.HOLDER_FILES] = [one.place.file if one.place else "" for one in holders]
    attributes[s.HOLDER_LINES] = [one.place.line if one.place else 0 for one in holders]
    attributes[s.HOLDER_THREADS] = [one.thread_name for one in holders]
    attributes[s.HOLDER_TRACE_IDS] = [f"{one.trace_id:032x}" if one.trace_id else "" for one in holders]
    attributes[s.HOLDER_SPAN_IDS] = [f"{one.span_id:016x}" if one.span_id else "" for one in holders]
    attributes[s.HOLDER_NS] = [one.ns for one in holders]


def put_division(attributes: Attributes, found: Division) -> None:
    """Adds what a run-queue time was, and who had the CPUs."""
    attributes[s.CPU_PROCESS_NS] = found.process_ns
    attributes[s.CPU_OWN_NS] = found.own_ns
    attributes[s.CPU_THROTTLED_NS] = found.throttled_ns
    attributes[s.CPU_UNKNOWN_NS] = found.unknown_ns
    if found.cpus:
        attributes[s.CPU_COUNT] = found.cpus
    if found.period_ns:
        attributes[s.CPU_QUOTA_NS] = found.quota_ns
        attributes[s.CPU_PERIOD_NS] = found.period_ns
    if found.wanted_milli:
        attributes[s.CPU_WANTED] = found.wanted_milli
        attributes[s.CPU_WANTED_NATIVE] = found.native_milli
    if not found.rivals:
        return
    named = [one.named for one in found.rivals]
    attributes[s.RIVAL_KINDS] = [one.kind for one in named]
    attributes[s.RIVAL_NAMES] = [one.name for one in named]
    attributes[s.RIVAL_NUMBERS] = [
        one.named.process_id if one.named.kind in (s.RIVAL_PROCESS, s.RIVAL_SIBLING) else one.threads
        for one in found.rivals
    ]
    if any(one.place for one in named):
        attributes[s.RIVAL_FILES] = [one.place.file if one.place else "" for one in named]
        attributes[s.RIVAL_LINES] = [one.place.line if one.place else 0 for one in named]
    if any(one.trace_id for one in named):
        attributes[s.RIVAL_TRACE_IDS] = [f"{one.trace_id:032x}" if one.trace_id else "" for one in named]
        attributes[s.RIVAL_SPAN_IDS] = [f"{one.span_id:016x}" if one.span_id else "" for one in found.rivals]
    attributes[s.RIVAL_NS] = [one.ns for one in found.rivals]
