"""uvloop's loops: the same stamps, by wrapping scheduled callbacks. What libuv calls by itself (sockets), and its
sleep, are not observed."""

import functools
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.hotpath.core import run_scheduled, scheduler
from whywait.tracer.hotpath.task_steps import waker_now
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import here
from whywait.tracer.records.request import TIMER, Activity

name: Final = "uvloop"
needs: Final = ()
available: Final = always


class _Call(functools.partial[Any]):
    """A scheduled callback with its stamps, created and called by C: a partial of `run_scheduled`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self.args[0])


def _scheduler(plain: Any) -> Any:
    @functools.wraps(plain)
    def call(self: Any, callback: Any, *args: Any, context: Any = None) -> Any:
        current = here.current
        # a task, the usual case: as `waker_now` has it, without its frame
        stamp = (current, perf_counter_ns()) if type(current) is Activity else waker_now(current)
        return plain(self, _Call(run_scheduled, callback, stamp), *args, context=context)

    return call


def _due_ns(when: Any, now: float) -> int:
    try:
        return perf_counter_ns() + int((when - now) * 1e9)
    except Exception:  # infinite, or not a number: uvloop will raise
        return 0


def install(_: Session) -> Undo:
    """Wrap `call_soon`, `call_soon_threadsafe`, `call_later` and `call_at`, once imported, and return the undo."""
    soon = _scheduler if scheduler is None else scheduler
    table = {
        "uvloop.Loop.call_soon": soon,
        "uvloop.Loop.call_soon_threadsafe": soon,
        "uvloop.Loop.call_later": _later,
        "uvloop.Loop.call_at": _at,
    }
    return wrap_when_imported(name, table, lambda plain, wrap: wrap(plain))


def _later(plain: Any) -> Any:
    def call_later(self: Any, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(run_scheduled, callback, (TIMER, _due_ns(delay, 0)))
        return plain(self, delay, call, *args, context=context)

    return call_later


def _at(plain: Any) -> Any:
    def call_at(self: Any, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(run_scheduled, callback, (TIMER, _due_ns(when, self.time())))
        return plain(self, when, call, *args, context=context)

    return call_at
