"""The hot path of marked calls: what a call records.

Outside a traced request a call costs one read of this thread's state. Inside, it reads the clocks and appends
one tuple, or, if it was too short for a span, adds to a sum. No OpenTelemetry object is created.
"""

from collections.abc import Mapping, Sequence
from time import perf_counter_ns, thread_time_ns
from typing import Any

from whywait.tracer.adapters.rule import Rule
from whywait.tracer.adapters.steps import step_name
from whywait.tracer.host.code_location import caller_place
from whywait.tracer.host.otel_context import current_span_id
from whywait.tracer.host.thread_clocks import run_queue_ns
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.opening.open_phase import error_name
from whywait.tracer.hotpath.thread_state import recent_run_queue_ns, set_phase
from whywait.tracer.records.current import current_activity, here
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.occupancy import DeviceCall, Occupancy
from whywait.tracer.records.request import MIN_RESOLUTION_NS, Activity, Job, Phase, Request
from whywait.tracer.schema import PHASE_CLIENT, PHASE_COMPUTE, PHASE_FROM_DEVICE, PHASE_PREDICT, PHASE_TO_DEVICE

_COPIES = (PHASE_TO_DEVICE, PHASE_FROM_DEVICE)
_COUNTED = (PHASE_PREDICT, PHASE_COMPUTE)
_RECENT_NS = 200_000  # reading the run queue costs as much as the rest: a reading up to this age is used again


class Open:
    """One open marked call."""

    __slots__ = (
        "activity", "before", "begun", "counts", "cpu_ns", "device", "held", "inner_ns", "method", "outer", "owner",
        "probe", "rule", "run_queue_ns", "small", "start_ns",
    )  # fmt: skip

    def __init__(self, rule: Rule, method: str, probe: str, owner: Any, outer: "Open | None") -> None:
        self.rule = rule
        self.method = method
        self.probe = probe
        self.owner = owner
        self.outer = outer  # the marked call of the same activity around this one
        self.before = here.phase  # the thread's open phase, of any activity
        self.counts: bool = rule.phase in _COUNTED or (outer is not None and outer.counts)
        self.inner_ns = 0  # of marked calls inside
        self.small: dict[str, int] | None = None
        self.start_ns = self.cpu_ns = 0
        self.activity: Activity | None = None
        self.begun: Any = None
        self.device: Any = None
        self.held: Occupancy | None = None
        self.run_queue_ns: int | None = None  # of this thread as it began, or shortly before

    def title(self) -> str:
        """The span's name: "transform: OneHotEncoder (encode)", "compute: Booster.predict"."""
        phase, owner, outer = self.rule.phase, self.owner, self.outer
        if owner is None or self.rule.title:
            return f"{phase}: {self.rule.title or self.method}"
        name = owner.__name__ if isinstance(owner, type) else type(owner).__name__
        if self.method not in (phase, "__init__"):
            name = f"{name}.{self.method}"
        step = step_name(outer.owner, outer.rule.steps, owner) if outer is not None else ""
        return f"{phase}: {name} ({step})" if step else f"{phase}: {name}"


def begin(
    rule: Rule, method: str, probe: str, owner: Any, given: Sequence[Any] = (), named: Mapping[str, Any] = {}
) -> Open | None:
    """Begin a marked call and return its record, None if it is not recorded. Never raises."""
    try:
        activity, outer = current_activity(), here.phase
        if outer is not None and outer.activity is not activity:
            outer = None
        if _is_detail(outer, rule, owner):
            return None
        device = rule.device(owner) if rule.device is not None else None
        if activity is None and device is None:
            return None
        made = Open(rule, method, probe, owner, outer)
        if activity is not None and made.counts and not (outer is not None and outer.counts):
            activity.items += _rows(next(iter((*given, *named.values())), None))
        _start(made, activity, device)
        return made
    except Exception as error:
        recorders.probe_failed(probe, error)
        return None


def _rows(given: Any) -> int:
    """How many rows a table or a list has; 0 of anything else, also of one row's numbers."""
    if type(given) in (list, tuple):
        return 0 if isinstance(given[0] if given else 0, int | float) else len(given)
    shape = getattr(given, "shape", ())
    return shape[0] if type(shape) is tuple and len(shape) > 1 and type(shape[0]) is int else 0


def _is_detail(outer: Open | None, rule: Rule, owner: Any) -> bool:
    """Whether the call is a detail of the call around it, or the same call in a base class."""
    if outer is None:
        return False
    return rule.outermost or (owner is not None and outer.owner is owner and outer.rule.phase == rule.phase)


def _start(made: Open, activity: Activity | None, device: Any) -> None:
    made.activity = activity
    if device is not None and not _is_on(device, made.outer):
        _enter_device(made, device, activity)
    if activity is not None:
        recorder = recorders.active
        if made.rule.steps and recorder is not None and recorder.adapters is not None:
            recorder.adapters.adopt_steps(made.owner, made.rule, made.method, made.probe)
        set_phase(made)
        made.cpu_ns = thread_time_ns()
    made.start_ns = perf_counter_ns()
    if isinstance(activity, Job) and made.run_queue_ns is None:
        made.run_queue_ns = _run_queue_recently(activity, made.start_ns)
    if made.held is not None:
        made.held.start_ns = made.start_ns


def _run_queue_recently(job: Job, now_ns: int) -> int | None:
    if now_ns - job.start_ns < _RECENT_NS:
        return job.run_queue_ns
    return recent_run_queue_ns(now_ns, _RECENT_NS)


def _is_on(device: Any, outer: Open | None) -> bool:
    while outer is not None:
        if outer.device is device:
            return True
        outer = outer.outer
    return False


def _enter_device(made: Open, device: Any, activity: Activity | None) -> None:
    trace_id = activity.request.trace_id if activity is not None else 0
    made.device = device
    made.held = Occupancy(made.title(), trace_id, new_span_id() if trace_id else 0, None)
    device.line.occupancies.append(made.held)
    if activity is not None:
        made.run_queue_ns = run_queue_ns()
    made.begun = device.begin(copies=made.rule.phase in _COPIES)


def end(made: Open, error: type[BaseException] | None) -> None:
    """End a marked call. Never raises."""
    end_ns = perf_counter_ns()
    activity = made.activity
    if activity is not None:
        set_phase(made.before)
    try:
        call: DeviceCall | None = None
        if made.held is not None:
            made.held.end_ns = end_ns
            call = DeviceCall(made.device.line, made.held, made.device.end(made.begun))
        if activity is not None:
            _record(made, activity, end_ns, call, error)
    except Exception as failure:
        recorders.probe_failed(made.probe, failure)


def _record(
    made: Open, activity: Activity, end_ns: int, call: DeviceCall | None, error: type[BaseException] | None
) -> None:
    request = activity.request
    outer = made.outer
    length_ns = end_ns - made.start_ns
    if outer is not None:
        outer.inner_ns += length_ns
    # a client is told by its number too: what is long may be its first call
    if (length_ns >= MIN_RESOLUTION_NS or made.rule.phase == PHASE_CLIENT) and _room(request):
        _keep(made, activity, end_ns, call, error)
    else:
        _sum_up(made, activity, length_ns)


def _keep(
    made: Open, activity: Activity, end_ns: int, call: DeviceCall | None, error: type[BaseException] | None
) -> None:
    length_ns = end_ns - made.start_ns
    cpu_ns = thread_time_ns() - made.cpu_ns
    span_id = call.held.span_id if call is not None else new_span_id()
    run_queue: int | None = None
    if made.run_queue_ns is not None and length_ns - cpu_ns >= MIN_RESOLUTION_NS:
        queued_ns = recent_run_queue_ns(end_ns, 0)
        if queued_ns is not None:
            run_queue = min(queued_ns - made.run_queue_ns, length_ns - cpu_ns)
    parent_id = current_span_id()
    activity.is_parent = True
    place = caller_place() if made.rule.phase == PHASE_CLIENT else None
    activity.request.phases.append(
        Phase(
            made.title(), span_id, parent_id, activity, made.start_ns, end_ns, cpu_ns, run_queue, place,
            error_name(error), False, made.rule.phase, made.small, call,
        )
    )  # fmt: skip


def _sum_up(made: Open, activity: Activity, length_ns: int) -> None:
    outer = made.outer
    into = outer.small if outer is not None else activity.small_phases
    if into is None:
        into = {}
        if outer is not None:
            outer.small = into
        else:
            activity.small_phases = into
    word = made.rule.phase
    into[word] = into.get(word, 0) + max(length_ns - made.inner_ns, 0)
    for inner, ns in (made.small or {}).items():
        into[inner] = into.get(inner, 0) + ns


def _room(request: Request) -> bool:
    """Whether one more phase may be kept: half of the record limit is reserved for waits, without which the
    request could not be analysed."""
    recorder = recorders.active
    if recorder is None or not request.open:
        return False
    return request.records_left * 2 > recorder.config.max_records_per_request and request.take()
