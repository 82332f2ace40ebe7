"""Event loops that a job or other work runs itself, as `asyncio.run` does in a `def` endpoint.

The job waits until the loop has run what it was to run, and what that waited for is recorded with the loop's tasks.
"""

import functools
import sys
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.code_location import Site, user_place
from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import enter_loop, leave_loop
from whywait.tracer.hotpath.waits import record_wait
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import here
from whywait.tracer.records.request import Activity
from whywait.tracer.schema import WAIT_AWAIT

name: Final = "nested_loops"
needs: Final = ()
later: Final = ("asyncio.base_events.BaseEventLoop.run_until_complete", "uvloop.Loop.run_until_complete")
available: Final = always
_LATEST = 100  # activities of a request among which the loop's own are looked for


def install(_: Session) -> Undo:
    """Wraps `run_until_complete` of asyncio's and uvloop's loops, once imported; returns the undo."""
    return wrap_when_imported(name, dict.fromkeys(later), lambda plain, _: _wrapped(plain))


def _wrapped(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def run_until_complete(self: Any, future: Any) -> Any:
        outer = here.current  # None: it is the thread's own loop
        start_ns = perf_counter_ns()
        token = enter_loop(outer) if outer is not None else None
        try:
            return plain(self, future)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            if outer is not None:
                leave_loop(outer, token)
                try:
                    if isinstance(outer, Activity) and outer.request.open:
                        _record(outer, start_ns)
                except Exception as error:
                    probe_failed("nested_loops", error)

    return run_until_complete


def _record(outer: Activity, start_ns: int) -> None:
    """The work has waited for the last task of its loop, if that was seen."""
    latest = outer.request.activities[-_LATEST:]
    ended = [one for one in latest if one.spawner is outer and type(one) is Activity and one.end_ns >= start_ns]
    if not ended:
        return
    by = max(ended, key=lambda one: one.end_ns)
    place = user_place(sys._getframe(2))
    site = Site(place, "run_until_complete", "asyncio.base_events") if place is not None else None
    record_wait(outer, WAIT_AWAIT, start_ns, by.end_ns, perf_counter_ns(), by, site, 0, thread=True)
