"""The attributes that several kinds of spans share. Pure."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.offcpu.cpu_contention import Division
from whywait.tracer.offcpu.explanation import UNSEEN, OffCpu
from whywait.tracer.records.request import Collector, Pool
from whywait.tracer.spans.span_spec import AboutWait, Blocker, Lock, Occupants, Spawner, Waker

Attributes = dict[str, str | int | float | bool | list[str] | list[int]]
_PLACE: Final = s.CODE_FUNCTION, s.CODE_FILE, s.CODE_LINE
_BLOCKER: Final = s.BLOCKER_FUNCTION, s.BLOCKER_FILE, s.BLOCKER_LINE
_LOCK: Final = s.LOCK_FUNCTION, s.LOCK_FILE, s.LOCK_LINE
_POOL: Final = s.POOL_FUNCTION, s.POOL_FILE, s.POOL_LINE


@lru_cache(maxsize=4_096)  # an activity's is asked for with each of its spans
def span_hex(span_id: int) -> str:
    """Return a span id in the contract's format."""
    return f"{span_id:016x}"


_HOLDS: Final[dict[str, Callable[[Any], str | int]]] = {
    "file": lambda place: place.file if place else "",
    "line": lambda place: place.line if place else 0,
    "trace_id": lambda number: f"{number:032x}" if number else "",
    "span_id": lambda number: f"{number:016x}" if number else "",
}


class _Arrays:
    def __init__(self, columns: Sequence[s.Column]) -> None:
        self._columns = [
            (one.key, attrgetter(one.field), _HOLDS.get(one.holds), attrgetter(one.only_with or one.field))
            for one in columns
        ]
        self._partial = {one.key for one in columns if one.only_with}

    def put(self, attributes: Attributes, entries: Sequence[object]) -> None:
        if not entries:
            return
        for key, field, write, only_with in self._columns:
            if key in self._partial and not any(map(only_with, entries)):
                continue
            values = map(field, entries)
            attributes[key] = list(values if write is None else map(write, values))


# of the first fields of an `OffCpu`, in order
_OFF_CPU: Final = (
    s.CPU_NS, s.RUN_QUEUE_NS, s.GIL_NS, s.ERROR_NS, s.HOLDER_TURNING_NS, s.LOCK_NS, s.CALL_NS, s.CALL, s.SAMPLES,
)  # fmt: skip
_HOLDERS: Final = _Arrays(s.HOLDERS)
_RAN: Final = _Arrays(s.RAN)
_CALLED: Final = _Arrays(s.CALLED)
_CPU_USERS: Final = _Arrays(s.CPU_USERS)
_BLOCKERS: Final = _Arrays(s.BLOCKERS)
_OCCUPANTS: Final = _Arrays(s.OCCUPANTS)


def put_off_cpu(attributes: Attributes, found: OffCpu) -> None:
    """The explanation of a thread's time off CPU."""
    if found is UNSEEN:
        return
    for key, value in zip(_OFF_CPU, found, strict=False):
        if value is not None:
            attributes[key] = value  # type: ignore[assignment]
    if found.gil_holders:
        _HOLDERS.put(attributes, found.gil_holders)
    _RAN.put(attributes, found.ran)
    _CALLED.put(attributes, found.called)
    if found.call_ns:
        put_known(attributes, {s.CALL_OF: found.call_of[0], s.CALL_PACKAGE: found.call_of[1]})
    if found.cpu_users is not None:
        _cpu_users(attributes, found.cpu_users)


def _cpu_users(attributes: Attributes, found: Division) -> None:
    put_known(attributes, {s.CPU_COUNT: found.cpus})
    if found.period_ns:
        attributes[s.CPU_QUOTA_NS], attributes[s.CPU_PERIOD_NS] = found.quota_ns, found.period_ns
    if found.wanted_milli:
        attributes[s.CPU_WANTED], attributes[s.CPU_WANTED_NATIVE] = found.wanted_milli, found.native_milli
    _CPU_USERS.put(attributes, found.users)


def put_known(attributes: Attributes, values: Mapping[str, Any]) -> None:
    """Those of the values that are set."""
    attributes.update({key: value for key, value in values.items() if value})


def put_place(attributes: Attributes, place: Place | None, keys: tuple[str, str, str] = _PLACE) -> None:
    if place is None:
        return
    function, file, line = keys
    if place.function:  # only the line is known of a job's submit
        attributes[function] = place.function
    if place.file:
        attributes[file], attributes[line] = place.file, place.line


def put_pool(attributes: Attributes, pool: Pool | None) -> None:
    if pool is None:
        return
    attributes |= {s.POOL_ID: pool.id, s.POOL_NAME: pool.name, s.POOL_SIZE: pool.size}
    if pool.knob:
        attributes[s.POOL_KNOB] = pool.knob
    put_place(attributes, pool.made_at, _POOL)


def put_lock(attributes: Attributes, lock: Lock | None) -> None:
    if lock is None:
        return
    attributes |= {s.LOCK_KIND: lock.kind, s.LOCK_WAITERS: lock.waiters, s.LOCK_HOLDS: lock.holds}
    put_place(attributes, lock.made_at, _LOCK)


def put_waker(attributes: Attributes, waker: Waker | None) -> None:
    if waker is None:
        return
    put_known(attributes, {s.WAKER_KIND: waker.kind, s.WAKER_NAME: waker.name})
    if waker.span_id:
        put_span(attributes, waker, s.WAKER_SPAN_ID, s.WAKER_TRACE_ID)


def put_blockers(attributes: Attributes, wait: AboutWait) -> None:
    """The blockers of a wait: the chief one by name, and all of them in arrays if there were several."""
    if wait.collector is not None:
        _collector(attributes, wait.collector)
    if not wait.blockers:
        return
    chief = wait.blockers[0]
    attributes[s.BLOCKER_NS] = chief.ns
    attributes[s.BLOCKER_FUNCTION] = chief.name
    if chief.place is not None:
        attributes[s.BLOCKER_FILE], attributes[s.BLOCKER_LINE] = chief.place.file, chief.place.line
    if chief.trace_id:
        put_span(attributes, chief, s.BLOCKER_SPAN_ID, s.BLOCKER_TRACE_ID)
    put_known(attributes, {s.BLOCKER_THREAD: chief.thread_name, s.BLOCKER_COUNT: wait.blocker_count})
    if len(wait.blockers) > 1:
        _BLOCKERS.put(attributes, wait.blockers)


def _collector(attributes: Attributes, found: Collector) -> None:
    attributes[s.BLOCKER_FUNCTION] = "a collector"
    put_place(attributes, found.place, _BLOCKER)
    if found.trace_id:
        put_span(attributes, found, s.BLOCKER_SPAN_ID, s.BLOCKER_TRACE_ID)


def put_span(attributes: Attributes, one: Spawner | Waker | Blocker | Collector, span_key: str, trace_key: str) -> None:
    """The span of another activity, and its trace if it is another one."""
    attributes[span_key] = span_hex(one.span_id)
    if one.trace_id:
        attributes[trace_key] = f"{one.trace_id:032x}"


def put_sums(attributes: Attributes, sums: Mapping[str, int]) -> None:
    """The sums of phases without a span, by word."""
    for word, ns in sums.items():
        if ns > 0:
            attributes[f"{s.PHASE_SMALL_PREFIX}{word.replace(' ', '_')}_ns"] = ns


def put_occupants(attributes: Attributes, found: Occupants | None) -> None:
    """The occupants of the pool or device, if the wait was for one."""
    if found is not None:
        _OCCUPANTS.put(attributes, found.named)
        attributes[s.OCCUPANT_OTHER_NS] = found.other_ns
