"""Pauses of the garbage collector, for the activity whose thread was stopped. If C code that holds the GIL
(`json.loads`) blocks a loop, the stack is sampled here, since the watchdog cannot run."""

import dis
import gc
import sys
from functools import lru_cache, partial
from time import perf_counter_ns
from types import CodeType, FrameType
from typing import Any, Final

from whywait.tracer.host.code_location import NOWHERE, Site, place_here
from whywait.tracer.hotpath.waits import record_thread_wait
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import current_activity, here
from whywait.tracer.records.loop import Loop, Sample
from whywait.tracer.records.request import Job
from whywait.tracer.schema import FOR_ASKED_COLLECTION, WAIT_GC

name: Final = "gc"
needs: Final = ()
available: Final = always
_MIN_NS = 50_000
_LONG_NS = 2_000_000  # a callback is sampled from this length on, unless the watchdog did


def install(_: Session) -> Undo:
    """Add one callback to `gc.callbacks`, and return the undo."""
    started_ns = 0

    def on_collection(phase: str, info: dict[str, Any]) -> None:
        nonlocal started_ns
        if phase == "start":
            started_ns = perf_counter_ns()
            _begun(started_ns)
        else:
            _ended(started_ns, perf_counter_ns(), info["generation"])

    gc.callbacks.append(on_collection)
    return partial(gc.callbacks.remove, on_collection)


def _begun(start_ns: int) -> None:
    loop = here.loop
    since_ns = loop.running_since_ns() if loop is not None else 0
    if loop is not None and since_ns and start_ns - since_ns >= _LONG_NS:
        _look(loop)


def _ended(start_ns: int, end_ns: int, generation: int) -> None:
    if end_ns - start_ns < _MIN_NS:
        return
    if here.loop is not None and end_ns - start_ns >= _LONG_NS and here.loop.running_since_ns():
        _look(here.loop)  # it stopped all threads, the watchdog too
    activity = current_activity()
    if here.waiting or (isinstance(activity, Job) and not activity.start_ns):
        return  # inside a wait, or still taking over: that is a wait already
    if activity is not None and activity.end_ns == 0:
        site = _site(sys._getframe(2), generation)
        record_thread_wait(activity, WAIT_GC, max(start_ns, activity.born_ns), end_ns, end_ns, site=site)


def _site(interrupted: FrameType, generation: int) -> Site:
    """Which generation, and the code that asked for it, by a line that calls `collect`, or that made objects when it
    began: who makes most of them is met most often."""
    code = interrupted.f_code
    asked = "collect" in code.co_names and _names_collect(code, interrupted.f_lineno)
    return Site(
        place_here(interrupted) or NOWHERE, f"{FOR_ASKED_COLLECTION if asked else ''}generation {generation}", "gc"
    )


@lru_cache(maxsize=64)
def _names_collect(code: CodeType, line: int) -> bool:
    found = (one for one in dis.get_instructions(code) if one.argval == "collect")
    return any(one.positions is not None and one.positions.lineno == line for one in found)


def _look(loop: Loop) -> None:
    run_start_ns = loop.run_start_ns
    if loop.sample is not None and loop.sample[0] == run_start_ns:
        return
    place = place_here(sys._getframe(3))
    if place is not None:
        loop.sample = (run_start_ns, Sample(place, None))
