"""The spans of stretches in which an activity ran: blocks of the loop, phases, calls on a device."""

from collections.abc import Hashable, Sequence

from whywait.tracer import schema as s
from whywait.tracer.offcpu.attributes import Attributes
from whywait.tracer.offcpu.thread_observer import without
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.loop import Block
from whywait.tracer.records.occupancy import DeviceCall
from whywait.tracer.records.request import MIN_RESOLUTION_NS, Activity, Job, Phase
from whywait.tracer.spans.attributes import put_occupants, put_place
from whywait.tracer.spans.pools.device_queue import Turn, put_phase, turn_of
from whywait.tracer.spans.request_context import Drawing
from whywait.tracer.spans.segments import occupant_shares
from whywait.tracer.spans.span_spec import SpanSpec, span_hex


def add_block(drawing: Drawing, activity: Activity, block: Block) -> None:
    """The span of an uninterrupted stretch on the loop."""
    if block.end_ns - block.start_ns < drawing.resolution_ns:
        return
    cpu_ns = max(block.cpu_ns, 0)
    attributes: Attributes = {
        s.KIND: s.KIND_BLOCK,
        s.ACTIVITY: span_hex(activity.span_id),
        s.CPU_NS: cpu_ns,
    }
    if block.run_queue_ns is not None:
        blocked_ns = max(block.end_ns - block.start_ns - block.cpu_ns, 0)
        attributes[s.RUN_QUEUE_NS] = min(block.run_queue_ns, blocked_ns)
    loop = drawing.request.loop
    if drawing.observed is not None and loop is not None and not isinstance(activity, Job):
        kind = block.sample.place if block.sample is not None else activity.code
        away = sorted((wait.start_ns, wait.end_ns) for wait in activity.waits if wait.thread)
        drawing.observed.put_running(
            attributes, kind, loop.native_id, without(block.start_ns, block.end_ns, away),
            cpu_ns, block.run_queue_ns,
        )  # fmt: skip
    name = "on loop"
    if block.sample is not None:
        name = f"on loop: {block.sample.place.function}"
        put_place(attributes, block.sample.place)
        if block.sample.syscall is not None:
            attributes[s.BLOCK_SYSCALL] = block.sample.syscall
    drawing.made.append(
        SpanSpec(
            name,
            drawing.request.trace_id,
            new_span_id(),
            drawing.own_parent(activity, block.parent_id),
            block.start_ns,
            block.end_ns,
            attributes,
            not_after_unix_ns=drawing.limit_of(activity),
        )
    )


def add_phase(drawing: Drawing, phase: Phase) -> None:
    """The span of a phase."""
    activity = phase.activity
    is_root = phase is drawing.request.root_phase
    attributes: Attributes = {s.ACTIVITY: span_hex(activity.span_id)}
    if not phase.life:  # the life of a generator is its consumer's time too
        attributes[s.KIND] = s.KIND_PHASE
    if phase.cpu_ns >= 0:
        attributes[s.CPU_NS] = max(phase.cpu_ns, 0)
    turn = turn_of(phase.device, drawing.past.pools) if phase.device is not None else None
    own = drawing.queued_beside(activity, phase.start_ns, phase.end_ns, phase.run_queue_ns)
    phase = phase._replace(run_queue_ns=own)
    served = phase if turn is None else _served(phase, turn)
    if served.run_queue_ns is not None:
        attributes[s.RUN_QUEUE_NS] = served.run_queue_ns
    if phase.cpu_ns >= 0 and not phase.life:
        put_running(
            drawing,
            attributes,
            phase.name,
            activity,
            served.start_ns,
            phase.end_ns,
            served.cpu_ns,
            served.run_queue_ns,
        )
    if phase.handler:
        attributes[s.HANDLER] = phase.handler
    put_place(attributes, phase.place)
    put_phase(attributes, phase, turn)
    if phase.device is not None and turn is not None:
        _add_device_queue(drawing, phase, phase.device, turn)
    drawing.made.append(
        SpanSpec(
            phase.name,
            drawing.request.trace_id,
            phase.span_id,
            0 if is_root else drawing.own_parent(activity, phase.parent_id),
            phase.start_ns,
            phase.end_ns,
            attributes,
            error=phase.error,
            not_after_unix_ns=drawing.limit_of(activity),
        )
    )


def _served(phase: Phase, turn: Turn) -> Phase:
    """The part of a call in which the device was its own, with its share of what was measured of all of it: what the
    thread waited in while it was queued is a part of the queue, which has a span of its own."""
    wall_ns = phase.end_ns - phase.start_ns
    if not phase.start_ns < turn.free_ns <= phase.end_ns:
        return phase
    served_ns = phase.end_ns - turn.free_ns
    run_queue_ns = phase.run_queue_ns
    return phase._replace(
        start_ns=turn.free_ns,
        cpu_ns=max(phase.cpu_ns, 0) * served_ns // wall_ns,
        run_queue_ns=run_queue_ns if run_queue_ns is None else run_queue_ns * served_ns // wall_ns,
    )


def _add_device_queue(drawing: Drawing, phase: Phase, call: DeviceCall, turn: Turn) -> None:
    away = sorted((wait.start_ns, wait.end_ns) for wait in phase.activity.waits)
    for start_ns, end_ns in without(phase.start_ns, turn.free_ns, away):
        if end_ns - start_ns < MIN_RESOLUTION_NS:
            continue
        attributes = drawing.wait_attributes(phase.activity, s.WAIT_GPU_QUEUE)
        attributes[s.DEVICE] = call.line.name
        if turn.told_ns is None:  # calls are taken to be served in the order they came
            attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
        found = occupant_shares(start_ns, end_ns, turn.ahead, call.held.span_id)
        links = put_occupants(attributes, drawing.request, *found)
        name = f"queued for {call.line.name}"
        drawing.add_wait_span(name, phase.activity, phase.span_id, start_ns, end_ns, attributes, links)


def put_running(
    drawing: Drawing, attributes: Attributes, kind: Hashable, activity: Activity, start_ns: int, end_ns: int,
    cpu_ns: int, run_queue_ns: int | None,
) -> None:  # fmt: skip
    """Adds what the samples say of a stretch of running, its own waits left out."""
    thread_id = activity.thread_id if isinstance(activity, Job) else activity.request.thread_id
    if drawing.observed is None or not thread_id:
        return
    away = sorted((wait.start_ns, wait.end_ns) for wait in activity.waits)
    drawing.observed.put_running(
        attributes, kind, thread_id, without(start_ns, end_ns, away), cpu_ns, run_queue_ns
    )


def background_span(name: str, block: Block, trace_id: int, signals: Sequence[str]) -> SpanSpec:
    """The span, and trace, of a long callback that worked for no request."""
    attributes: Attributes = {s.KIND: s.KIND_BLOCK, s.SIGNALS: list(signals)}
    if block.sample is not None:
        name = block.sample.place.function
        put_place(attributes, block.sample.place)
        if block.sample.syscall is not None:
            attributes[s.BLOCK_SYSCALL] = block.sample.syscall
    return SpanSpec(f"on loop: {name}", trace_id, new_span_id(), 0, block.start_ns, block.end_ns, attributes)
