"""Eager tasks (Python 3.12 on): their first step stays part of their creator's. One that is suspended at its end
becomes an activity."""

import asyncio
import functools
import sys
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.tasks import adopt_eager
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo
from whywait.tracer.records.current import ACTIVITY, current_activity
from whywait.tracer.records.request import Activity

name: Final = "eager"
needs: Final = ()
later: Final = ("asyncio.base_events.BaseEventLoop.create_task", "uvloop.Loop.create_task")


def available() -> bool:
    return sys.version_info >= (3, 12)


def install(_: Session) -> Undo:
    """Wraps `create_task` of asyncio's and uvloop's loops, once imported; returns the undo."""
    return wrap_when_imported(name, dict.fromkeys(later), lambda plain, _: _wrapped(plain))


def _wrapped(plain: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(plain)
    def create_task(self: Any, coro: Any, **kwargs: Any) -> Any:
        maker = current_activity() if self.get_task_factory() is not None else None
        if maker is None:
            return plain(self, coro, **kwargs)
        start_ns = perf_counter_ns()
        task = plain(self, coro, **kwargs)
        try:
            _look_at(maker, task, coro, start_ns)
        except Exception as error:
            probe_failed("eager", error)
        return task

    return create_task


def _look_at(maker: Activity, task: Any, coro: Any, start_ns: int) -> None:
    if not isinstance(task, asyncio.Task) or task.done() or not getattr(coro, "cr_suspended", False):
        return
    activity = adopt_eager(maker, task, start_ns, perf_counter_ns())
    if activity is not None:
        with suppress(RuntimeError):  # it shares its maker's context: found by the task itself
            task.get_context().run(ACTIVITY.set, activity)  # type: ignore[attr-defined, unused-ignore]
