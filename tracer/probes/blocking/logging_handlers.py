"""Calls of logging handlers for a request: each is a phase, to which blocked time inside (a write, a lock) belongs.
Handlers that override `handle` are observed if they call it."""

import functools
import logging
from time import perf_counter_ns, thread_time_ns
from types import CodeType
from typing import Any, Final

from whywait.tracer.host.code_location import Place, caller_place, is_library, place_of_code
from whywait.tracer.host.introspection import code_of
from whywait.tracer.host.otel_context import current_span_id
from whywait.tracer.hotpath.recorder import probe_failed, safely
from whywait.tracer.hotpath.thread_state import enter_handler, leave_handler
from whywait.tracer.hotpath.thread_waits import waiter_here
from whywait.tracer.probes.locks.traced_lock import TracedRLock
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import here
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.request import Activity, Phase

name: Final = "logging"
needs: Final = ()
available: Final = always


def install(session: Session) -> Undo | None:
    """Wrap `Handler.handle`, and the locks of handlers created from now on, and return the undo."""
    min_ns = session.recorder.config.logging_ns
    if min_ns < 0:
        return None
    handler_class: Any = logging.Handler
    plain_handle, plain_create = handler_class.handle, handler_class.createLock

    @functools.wraps(plain_handle)
    def handle(self: Any, record: Any) -> Any:
        activity = None if here.current is None else waiter_here()
        if activity is None:
            return plain_handle(self, record)
        place = _place(code_of(getattr(type(self), "emit", None)))
        title = _title(self) if place is None else place.function
        outer = enter_handler(title, place)
        cpu_ns = thread_time_ns()
        start_ns = perf_counter_ns()
        try:
            return plain_handle(self, record)
        finally:
            end_ns = perf_counter_ns()
            leave_handler(outer)
            if end_ns - start_ns >= min_ns:
                safely("logging", _keep, activity, title, place, start_ns, end_ns, thread_time_ns() - cpu_ns)

    @functools.wraps(plain_create)
    def createLock(self: Any) -> None:
        plain_create(self)
        try:
            lock = self.lock
            if type(lock) is TracedRLock.plain_type:
                self.lock = TracedRLock.around(lock, caller_place())
        except Exception as error:
            probe_failed("logging", error)

    patches = Patches()
    patches.replace(handler_class, "handle", handle)
    patches.replace(handler_class, "createLock", createLock)
    return patches.undo


def _title(handler: Any) -> str:
    try:
        name = handler.get_name()
    except Exception:  # a handler that never called its base's __init__
        name = None
    kind = type(handler).__qualname__
    return f"{kind} {name!r}" if isinstance(name, str) and name else kind


@functools.lru_cache(maxsize=256)
def _place(code: CodeType | None) -> Place | None:
    """The code location of a handler's `emit` that is the user's; None for a library's."""
    return None if code is None or is_library(code.co_filename) else place_of_code(code)


def _keep(activity: Activity, title: str, place: Place | None, start_ns: int, end_ns: int, cpu_ns: int) -> None:
    if not activity.request.open or not activity.request.take():
        return
    parent_id = current_span_id()
    activity.is_parent = True
    activity.request.phases.append(
        Phase(
            f"logging: {title}", new_span_id(), parent_id, activity, start_ns, end_ns, cpu_ns, None,
            place, "", False, handler=title,
        )
    )  # fmt: skip
