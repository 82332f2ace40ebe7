"""asyncio's own loops: when each callback became ready, its waker, when it ran, and when the loop slept (in its
selector's `select`). Handles are replaced by subclasses with stamps, also Python 3.14's `_ThreadSafeHandle`, through
which a job's result arrives; C tasks schedule their steps through them too."""

import selectors
import sys
from asyncio import events, selector_events
from collections.abc import Callable
from time import perf_counter_ns
from types import FunctionType
from typing import Any, Final

from whywait.tracer.hotpath.core import handle_maker, handle_runner, io_runner, select_timer
from whywait.tracer.hotpath.loop_history import SLEEP_MIN_NS, STALL_MIN_NS, note_select
from whywait.tracer.hotpath.task_steps import waker_now
from whywait.tracer.probes.blocking.timed_call import timed
from whywait.tracer.probes.patches import Patches, named_as
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import here
from whywait.tracer.records.request import IO, IO_LATE, TIMER, Activity, Stamp

name: Final = "loop"
needs: Final = (
    "asyncio.events.Handle._callback", "asyncio.events.Handle._context", "asyncio.events.Handle._run",
    "asyncio.events.Handle._source_traceback", "asyncio.events.TimerHandle._when",
    "asyncio.selector_events.BaseSelectorEventLoop._add_reader",
    "asyncio.selector_events.BaseSelectorEventLoop._add_writer",
    *(["asyncio.events._ThreadSafeHandle._run"] if sys.version_info >= (3, 14) else []),
)  # fmt: skip
available: Final = always


def install(_: Session) -> Undo:
    """Replaces the handle class, wraps timers and the selector; returns the undo."""
    plain_handle, timer_handle = events.Handle, events.TimerHandle
    plain_init, plain_run = plain_handle.__init__, plain_handle._run

    _run = handle_runner(plain_run)

    class Handle(plain_handle):  # type: ignore[misc, valid-type]
        __slots__ = ("_stamp",)
        _stamp: Stamp

        def __init__(self, callback: Any, args: Any, loop: Any, context: Any = None) -> None:
            plain_init(self, callback, args, loop, context)
            if self._source_traceback:  # debug mode: asyncio takes its caller's frame for the last one
                del self._source_traceback[-1]
            current = here.current
            if type(current) is Activity:  # this and the next as `waker_now` has it, without its frame
                self._stamp = current, perf_counter_ns()
                return
            if type(current) is tuple and type(current[0]) is FunctionType:
                self._stamp = stamp = current[1]
            else:
                self._stamp = stamp = waker_now(current)
            by = stamp[0]
            if by is IO or by is IO_LATE:
                self.__class__ = IoHandle

    class IoHandle(Handle):
        __slots__ = ()

        # a reader's handle is created once and runs often; it, and its wake-ups, get the time of the select of the
        # round in which it runs
        def _run(self) -> None:
            loop = here.loop
            if loop is None:
                self._stamp = IO, perf_counter_ns()
            else:
                self._stamp = (IO if loop.polled_ns == loop.select_end_ns else IO_LATE), loop.polled_ns
            _run(self)
            self = None  # type: ignore[assignment]  # breaks cycles when an exception occurs

    for one in (Handle, IoHandle):
        named_as(one, plain_handle)
    Handle._run = _run
    if handle_maker is not None:
        Handle.__init__ = handle_maker(plain_init, IoHandle)  # type: ignore[method-assign]
    if io_runner is not None:
        IoHandle._run = io_runner(plain_run)  # type: ignore[method-assign]
    patches = Patches()
    patches.replace(events, "Handle", Handle)
    if sys.version_info >= (3, 14):
        patches.replace(events, "_ThreadSafeHandle", _stamped(vars(events)["_ThreadSafeHandle"]))
    # TimerHandle itself must stay: its comparisons use isinstance(other, TimerHandle), and timers set
    # before `start` share a heap with those set after it
    patches.replace(timer_handle, "_stamp", property(_timer_stamp))
    patches.replace(timer_handle, "_run", _run)
    patches.replace(selectors.DefaultSelector, "select", _timed_select(selectors.DefaultSelector.select))
    loop_class = selector_events.BaseSelectorEventLoop
    for method in ("_add_reader", "_add_writer"):
        patches.replace(loop_class, method, _marking_io(getattr(loop_class, method), Handle, IoHandle))
    return patches.undo


def _stamped(plain: Any) -> type[Any]:
    """A subclass of the handle that `call_soon_threadsafe` makes: its `_run` takes the handle's lock, then runs."""
    plain_init = plain.__init__

    class Stamped(plain):  # type: ignore[misc]
        __slots__ = ("_stamp",)

        def __init__(self, callback: Any, args: Any, loop: Any, context: Any = None) -> None:
            plain_init(self, callback, args, loop, context)
            if self._source_traceback:
                del self._source_traceback[-1]
            self._stamp = waker_now(here.current)

        _run = handle_runner(plain._run)

    named_as(Stamped, plain)
    return Stamped


def _timer_stamp(timer: Any) -> Stamp:
    # the clock caused the wake-up; loop.time() and perf_counter share one
    return TIMER, int(timer._when * 1e9)


def _timed_select(plain_select: Callable[..., Any]) -> Callable[..., Any]:
    timed_select = timed(plain_select, "selectors.select")
    if select_timer is not None:
        return select_timer(plain_select, timed_select)  # type: ignore[no-any-return]

    def select(self: Any, timeout: float | None = None) -> Any:
        mine = here.__dict__
        loop = mine.get("loop")
        if loop is None or mine.get("current") is not None:  # not the loop's own
            return timed_select(self, timeout)
        loop.selects = True
        if (alarm := loop.alarm) is not None and timeout != 0:
            alarm.stop()
        start_ns = perf_counter_ns()
        ready = plain_select(self, timeout)
        end_ns = perf_counter_ns()
        took_ns = end_ns - start_ns
        loop.polled_from_ns, loop.poll_ns = loop.poll_ns, start_ns
        if timeout != 0 and took_ns >= SLEEP_MIN_NS:  # with something to do it only polls
            loop.polled_ns = loop.select_end_ns = loop.woke_ns = end_ns
            note_select(loop, True, start_ns, end_ns)
        else:
            loop.polled_ns = loop.select_end_ns
            loop.select_end_ns = end_ns
            if took_ns >= STALL_MIN_NS:
                note_select(loop, False, start_ns, end_ns)
        if (alarm := loop.alarm) is not None:
            alarm.set()
        return ready

    return select


def _marking_io(plain_add: Any, handle_class: type[Any], of_io: type[Any]) -> Callable[..., Any]:
    # a reader's handle is created once and runs at each event: its creator is not the waker
    def add(self: Any, fd: Any, callback: Any, *args: Any) -> Any:
        handle = plain_add(self, fd, callback, *args)
        if type(handle) is handle_class:
            handle.__class__ = of_io
        return handle

    return add
