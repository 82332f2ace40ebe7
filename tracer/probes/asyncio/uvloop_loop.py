"""uvloop's loops: the same stamps, by wrapping scheduled callbacks. What libuv calls by itself (sockets), and its
sleep, are not observed."""

import functools
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.hotpath.core import run_scheduled, scheduler
from whywait.tracer.hotpath.task_steps import waker_now
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo
from whywait.tracer.records.current import here
from whywait.tracer.records.request import TIMER, Activity

name: Final = "uvloop"
needs: Final = ()


class _Call(functools.partial[Any]):
    """A scheduled callback with its stamps, created and called by C: a partial of `run_scheduled`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self.args[0])


def _scheduler(plain: Any, call_class: type[_Call]) -> Any:
    @functools.wraps(plain)
    def call(self: Any, callback: Any, *args: Any, context: Any = None) -> Any:
        current = here.current
        # a task, the usual case: as `waker_now` has it, without its frame
        stamp = (current, perf_counter_ns()) if type(current) is Activity else waker_now(current)
        return plain(self, call_class(run_scheduled, callback, stamp), *args, context=context)

    return call


def _due_ns(when: Any, now: float) -> int:
    try:
        return perf_counter_ns() + int((when - now) * 1e9)
    except Exception:  # infinite, or not a number: uvloop will raise
        return 0


def available() -> bool:
    """Return whether uvloop is installed, so that a host may use it."""
    return find_spec("uvloop") is not None


def install(_: Session) -> Undo:
    """Wrap `call_soon`, `call_soon_threadsafe`, `call_later` and `call_at`, and return the undo."""
    import uvloop

    loop_class: Any = uvloop.Loop
    soon = _scheduler if scheduler is None else scheduler
    plain_later = loop_class.call_later
    plain_at = loop_class.call_at

    def call_later(self: Any, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(run_scheduled, callback, (TIMER, _due_ns(delay, 0)))
        return plain_later(self, delay, call, *args, context=context)

    def call_at(self: Any, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(run_scheduled, callback, (TIMER, _due_ns(when, self.time())))
        return plain_at(self, when, call, *args, context=context)

    patches = Patches()
    for method in ("call_soon", "call_soon_threadsafe"):
        patches.replace(loop_class, method, soon(getattr(loop_class, method), _Call))
    patches.replace(loop_class, "call_later", call_later)
    patches.replace(loop_class, "call_at", call_at)
    return patches.undo
