"""The spans of stretches in which an activity ran: blocks of the loop, phases, calls on a device."""

from collections.abc import Hashable, Iterable, Mapping, Sequence

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place, root_package
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.loop import Block, users_place
from whywait.tracer.records.occupancy import DeviceCall
from whywait.tracer.records.request import MIN_RESOLUTION_NS, Activity, Job, Phase
from whywait.tracer.spans.blockers import occupants
from whywait.tracer.spans.pools.device_queue import Position, position_of
from whywait.tracer.spans.pools.occupant_shares import PoolShares
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.span_spec import AboutBlock, AboutLost, AboutPhase, AboutWait, SpanSpec
from whywait.tracer.spans.waits.user_site import asked_in


def add_block(drawing: Drawing, activity: Activity, block: Block) -> None:
    if block.end_ns - block.start_ns < drawing.resolution_ns:
        return
    name = "ran on the loop" if block.sample is None else f"{s.BLOCK_SPAN_PREFIX}{block.sample.place.function}"
    sample = block.sample
    if sample is not None:
        place, call = _users(sample.place, activity)
        if place is not sample.place:
            sample = sample._replace(place=place, call=call)
    about = AboutBlock(activity.span_id, _off_cpu_in_block(drawing, activity, block), sample)
    drawing.add(name, activity, block.parent_id, block.start_ns, block.end_ns, about)


def _off_cpu_in_block(drawing: Drawing, activity: Activity, block: Block) -> OffCpu:
    cpu_ns, run_queue_ns = max(block.cpu_ns, 0), block.run_queue_ns
    if run_queue_ns is not None:
        run_queue_ns = min(run_queue_ns, max(block.end_ns - block.start_ns - block.cpu_ns, 0))
    loop = drawing.loop_of(activity)
    if drawing.observed is None or loop is None or isinstance(activity, Job):
        return OffCpu(cpu_ns, run_queue_ns)
    kind = block.sample.place if block.sample is not None else activity.code
    away = sorted((wait.start_ns, wait.end_ns) for wait in activity.waits if wait.thread)
    left = without(block.start_ns, block.end_ns, away)
    found = drawing.observed.running(kind, loop.native_id, left, cpu_ns, run_queue_ns)
    if block.sample is not None and block.sample.call[0] and found.lock_ns and found.call_ns:
        # one call of a library, in which this thread and one of its own take turns at asking the kernel
        found = found._replace(lock_ns=None, call_ns=found.call_ns + found.lock_ns)
    return found._replace(ran=[one._replace(place=_users(one.place, activity)[0]) for one in found.ran])


def _users(place: Place, activity: Activity) -> tuple[Place, tuple[str, str]]:
    """The user's function for which a library ran, and the library's call there, if known, with its package."""
    found = users_place(place, activity.request)
    site = asked_in(activity, place) if found is not place else None
    return (found, ("", root_package(place.file))) if site is None else (site.user, (site.call, site.package))


def add_phase(drawing: Drawing, phase: Phase) -> None:
    activity = phase.activity
    is_root = phase is drawing.request.root_phase
    position = position_of(phase.device, drawing.past.pools) if phase.device is not None else None
    own = drawing.queued_beside(activity, phase.start_ns, phase.end_ns, phase.run_queue_ns)
    phase = phase._replace(run_queue_ns=own)
    served = phase if position is None else _served(phase, position)
    if phase.device is not None and position is not None:
        _add_device_queue(drawing, phase, phase.device, position)
    drawing.made.append(
        SpanSpec(
            phase.name, drawing.request.trace_id, phase.span_id,
            0 if is_root else drawing.own_parent(activity, phase.parent_id), phase.start_ns, phase.end_ns,
            _about_phase(phase, position, _off_cpu(drawing, phase, served)), error=phase.error,
            not_after_unix_ns=drawing.limit_of(activity),
        )
    )  # fmt: skip


def _off_cpu(drawing: Drawing, phase: Phase, served: Phase) -> OffCpu:
    if phase.cpu_ns < 0:
        return OffCpu(None, served.run_queue_ns)
    cpu_ns = max(phase.cpu_ns, 0)
    if phase.life:
        return OffCpu(cpu_ns, served.run_queue_ns)
    found = running(
        drawing, phase.name, phase.activity, served.start_ns, phase.end_ns, served.cpu_ns, served.run_queue_ns
    )
    return found if found.on_cpu_ns == cpu_ns else found._replace(on_cpu_ns=cpu_ns)


def _about_phase(phase: Phase, position: Position | None, off_cpu: OffCpu) -> AboutPhase:
    first = phase.name.partition(":")[0]
    word = phase.word or (first if first in s.PHASES else "")
    worked_ns = position.worked_ns if position is not None else None
    if worked_ns is not None:
        worked_ns = min(worked_ns, phase.end_ns - phase.start_ns)
    return AboutPhase(
        phase.activity.span_id, off_cpu, phase.place, word,
        phase.small or {}, phase.handler, device=phase.device.line.name if phase.device is not None else "",
        device_ns=worked_ns,
        kind="" if phase.life else s.KIND_PHASE,
    )  # fmt: skip


def _served(phase: Phase, position: Position) -> Phase:
    """The part of a call in which the device worked for it, with its share of the measured amounts: the thread's waits
    in the queue are part of the queue, which has a span of its own."""
    wall_ns = phase.end_ns - phase.start_ns
    if not phase.start_ns < position.free_ns <= phase.end_ns:
        return phase
    served_ns = phase.end_ns - position.free_ns
    run_queue_ns = phase.run_queue_ns
    return phase._replace(
        start_ns=position.free_ns,
        cpu_ns=max(phase.cpu_ns, 0) * served_ns // wall_ns,
        run_queue_ns=run_queue_ns if run_queue_ns is None else run_queue_ns * served_ns // wall_ns,
    )


def _add_device_queue(drawing: Drawing, phase: Phase, call: DeviceCall, position: Position) -> None:
    activity = phase.activity
    away = sorted((wait.start_ns, wait.end_ns) for wait in activity.waits)
    for start_ns, end_ns in without(phase.start_ns, position.free_ns, away):
        if end_ns - start_ns < MIN_RESOLUTION_NS:
            continue
        about = AboutWait(
            activity.span_id, s.WAIT_GPU_QUEUE,
            occupants=occupants(*PoolShares(position.ahead).between(start_ns, end_ns)), device=call.line.name,
            inferred=position.worked_ns is None,  # calls are assumed to be served in order of arrival
        )  # fmt: skip
        drawing.add(f"queued for {call.line.name}", activity, phase.span_id, start_ns, end_ns, about)


def running(
    drawing: Drawing, kind: Hashable, activity: Activity, start_ns: int, end_ns: int, cpu_ns: int,
    run_queue_ns: int | None,
) -> OffCpu:  # fmt: skip
    """Explain a stretch of running by samples, without its own waits."""
    thread_id = activity.thread_id if isinstance(activity, Job) else activity.request.thread_id
    if drawing.observed is None or not thread_id:
        return OffCpu(cpu_ns, run_queue_ns)
    away = sorted((wait.start_ns, wait.end_ns) for wait in activity.waits)
    return drawing.observed.running(kind, thread_id, without(start_ns, end_ns, away), cpu_ns, run_queue_ns)


def background_span(name: str, block: Block, trace_id: int, signals: Sequence[str]) -> SpanSpec:
    """The span, and trace, of a long callback outside any request."""
    if block.sample is not None:
        name = block.sample.place.function
    off_cpu = OffCpu(block.cpu_ns) if block.cpu_ns >= 0 else UNSEEN
    about = AboutBlock(off_cpu=off_cpu, sample=block.sample, signals=signals)
    return SpanSpec(f"{s.BLOCK_SPAN_PREFIX}{name}", trace_id, new_span_id(), 0, block.start_ns, block.end_ns, about)


def lost_span(lost: Mapping[str, int], trace_id: int, at_ns: int) -> SpanSpec:
    """The span, and trace, that tells what the process lost until its end."""
    return SpanSpec(s.LOST_SPAN, trace_id, new_span_id(), 0, at_ns, at_ns, AboutLost(lost))


def without(start_ns: int, end_ns: int, away: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the rest of a stretch after others, sorted by start, are subtracted. Pure."""
    left = []
    at = start_ns
    for begin, end in away:
        if end <= at or begin >= end_ns:
            continue
        if begin > at:
            left.append((at, begin))
        at = max(at, end)
    if at < end_ns:
        left.append((at, end_ns))
    return left
