"""The garbage collector's pauses, given to the activity whose thread it stopped."""

import gc
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

from tracer.records import Job, Wait, current_activity, here
from tracer.schema import WAIT_GC
from tracer.span_context import current_span_id

_MIN_NS = 50_000


def install() -> Callable[[], None]:
    """Adds one callback to `gc.callbacks`; returns the undo."""
    started_ns = 0

    def on_collection(phase: str, info: dict[str, Any]) -> None:
        nonlocal started_ns
        if phase == "start":
            started_ns = perf_counter_ns()
            return
        end_ns = perf_counter_ns()
        if end_ns - started_ns < _MIN_NS:
            return
        activity = current_activity()
        if here.waiting or (isinstance(activity, Job) and not activity.start_ns):
            return  # inside a wait, or still taking over: that is a wait already
        if activity is not None and activity.end_ns == 0 and activity.request.take():
            begin_ns = max(started_ns, activity.born_ns)
            activity.waits.append(
                Wait(WAIT_GC, begin_ns, end_ns, end_ns, None, None, current_span_id(), True)
            )

    gc.callbacks.append(on_collection)

    def undo() -> None:
        gc.callbacks.remove(on_collection)

    return undo
