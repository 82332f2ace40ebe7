"""Eager tasks (Python 3.12 on): their first step stays part of their creator's. One that is suspended at its end
becomes an activity."""

import asyncio
import functools
import sys
import traceback
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
needs: Final = ("asyncio.base_events.BaseEventLoop._debug", "asyncio.base_events.BaseEventLoop._task_factory")
later: Final = ("asyncio.base_events.BaseEventLoop.create_task", "uvloop.Loop.create_task")
_Usual = Callable[[Any], bool]  # whether a loop has no task factory, and its debug mode is off where that costs nothing


def available() -> bool:
    return sys.version_info >= (3, 12)


def install(_: Session) -> Undo:
    """Wraps `create_task` of asyncio's and uvloop's loops, once imported; returns the undo."""
    usual: tuple[_Usual, _Usual] = (
        lambda loop: loop._task_factory is None and not loop._debug,
        lambda loop: loop.get_task_factory() is None,
    )
    return wrap_when_imported(name, dict(zip(later, usual, strict=True)), _wrapped)


def _wrapped(plain: Callable[..., Any], is_usual: _Usual) -> Callable[..., Any]:
    @functools.wraps(plain)
    def create_task(self: Any, coro: Any, **kwargs: Any) -> Any:
        if is_usual(self):
            return plain(self, coro, **kwargs)
        maker = current_activity() if self.get_task_factory() is not None else None
        start_ns = perf_counter_ns()
        task = plain(self, coro, **kwargs)
        try:
            if maker is not None:
                _look_at(maker, task, coro, start_ns)
            if self.get_debug():
                _take_us_out(task)
        except Exception as error:
            probe_failed("eager", error)
        return task

    return create_task


def _take_us_out(task: Any) -> None:
    """In debug mode a task says where it was created: not here."""
    made_at = getattr(task, "_source_traceback", None)
    if type(made_at) is traceback.StackSummary:
        made_at[:] = [one for one in made_at if one.filename != __file__]


def _look_at(maker: Activity, task: Any, coro: Any, start_ns: int) -> None:
    if not isinstance(task, asyncio.Task) or task.done() or not getattr(coro, "cr_suspended", False):
        return
    activity = adopt_eager(maker, task, start_ns, perf_counter_ns())
    if activity is not None:
        with suppress(RuntimeError):  # it shares its maker's context: found by the task itself
            task.get_context().run(ACTIVITY.set, activity)  # type: ignore[attr-defined, unused-ignore]
