"""uvloop's loops: the same stamps by wrapping what is scheduled, since its handles are C.

Callbacks that libuv calls by itself (sockets) and the time asleep are not seen, so a wake-up and the
wait for the loop cannot be told apart there.
"""

import functools
from importlib.util import find_spec
from time import perf_counter_ns
from types import FunctionType
from typing import Any, Final

from whywait.tracer.hotpath.loop_history import CALLBACK_MIN_NS, new_loop, queued_since
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.task_steps import begin_callback, end_callback, end_short, waker_now
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.request import TIMER, Activity, Look, Loop, Stamp, Standing

name: Final = "uvloop"
needs: Final = ()
_AWAY_MIN_NS = 100_000


class _Call(functools.partial[Any]):
    """A scheduled callback with its stamps, made and called by C: a partial of `_run`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self.args[0])


def _run(callback: Any, stamp: Stamp, *args: Any) -> Any:
    """What uvloop runs in the callback's place, in the callback's context."""
    start_ns = perf_counter_ns()
    activity: Activity | None = None
    try:
        mine = here.__dict__
        loop = mine.get("loop")
        if loop is None or not loop.live:
            loop = new_loop()
        if start_ns - loop.ended_ns >= _AWAY_MIN_NS:
            _back(loop, start_ns)
        loop.run_start_ns = start_ns
        found = ACTIVITY.get()
        if found is not None and type(callback) is not FunctionType:
            activity = begin_callback(loop, found, callback, stamp, start_ns, None)
        begun: Activity | Standing | None
        mine["current"] = begun = activity or (callback, stamp)
    except Exception as error:
        probe_failed("uvloop", error)
        return callback(*args)
    try:
        return callback(*args)
    finally:
        try:
            end_ns = loop.ended_ns = perf_counter_ns()
            if mine["current"] is begun and end_ns - start_ns < CALLBACK_MIN_NS:
                mine["current"] = None
                end_short(loop, activity, activity, callback, start_ns, end_ns)
            else:
                end_callback(loop, mine, activity, found, callback, start_ns, end_ns)
        except Exception as error:
            probe_failed("uvloop", error)
        # the frames of what failed in there refer back to this one: it must keep nothing alive
        callback = args = None  # type: ignore[assignment]
        activity = found = begun = None


def _back(loop: Loop, start_ns: int) -> None:
    """libuv has slept, or done what is not seen: what the thread lacked meanwhile it lacked when it was woken."""
    queued_ns = queued_since(loop)
    if queued_ns is not None and queued_ns >= _AWAY_MIN_NS and loop.ended_ns:
        loop.looks.append(Look(loop.ended_ns, start_ns, queued_ns, False))


def _due_ns(when: Any, now: float) -> int:
    try:
        return perf_counter_ns() + int((when - now) * 1e9)
    except Exception:  # infinite, or no number at all: uvloop will say so
        return 0


def available() -> bool:
    """Whether uvloop is installed, so that a host may come to use it."""
    return find_spec("uvloop") is not None


def install(_: Session) -> Undo:
    """Wraps `call_soon`, `call_soon_threadsafe`, `call_later` and `call_at`; returns the undo."""
    import uvloop

    loop_class: Any = uvloop.Loop
    plain_soon = loop_class.call_soon
    plain_threadsafe = loop_class.call_soon_threadsafe
    plain_later = loop_class.call_later
    plain_at = loop_class.call_at

    def call_soon(self: Any, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(_run, callback, waker_now(here.current))
        if not args:
            return plain_soon(self, call, context=context)
        return plain_soon(self, call, *args, context=context)

    def call_soon_threadsafe(self: Any, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(_run, callback, waker_now(here.current))
        return plain_threadsafe(self, call, *args, context=context)

    def call_later(self: Any, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(_run, callback, (TIMER, _due_ns(delay, 0)))
        return plain_later(self, delay, call, *args, context=context)

    def call_at(self: Any, when: float, callback: Any, *args: Any, context: Any = None) -> Any:
        call = _Call(_run, callback, (TIMER, _due_ns(when, self.time())))
        return plain_at(self, when, call, *args, context=context)

    patches = Patches()
    for method in (call_soon, call_soon_threadsafe, call_later, call_at):
        patches.replace(loop_class, method.__name__, method)
    return patches.undo
