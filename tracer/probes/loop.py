"""asyncio's own loops: when each callback became ready, by whom, when it ran, and when the loop slept.

`asyncio.events.Handle` and `TimerHandle` are replaced by subclasses that carry the stamps; C tasks
schedule their steps through them too. The selector's `select` gives the window in which the loop slept.
"""

import selectors
from asyncio import events, selector_events
from collections.abc import Callable
from time import perf_counter_ns
from types import FunctionType
from typing import Any

from tracer.probes.timed_calls import time_call
from tracer.recorder import probe_failed
from tracer.records import ACTIVITY, IO, IO_LATE, TIMER, Activity, Look, Waker, here
from tracer.steps import begin_callback, end_callback, flush_short, new_loop, queued_since, waker_now

_SLEEP_MIN_NS = 20_000
_STALL_MIN_NS = 200_000


def _run_stamped(handle: Any, by: Waker, cause_ns: int, run: Callable[[Any], None]) -> None:
    start_ns = perf_counter_ns()
    activity: Activity | None = None
    callback = handle._callback
    context = handle._context
    try:
        mine = here.__dict__
        loop = mine.get("loop")
        if loop is None or not loop.live:
            loop = new_loop()
        loop.run_start_ns = start_ns
        found = context.get(ACTIVITY)
        if found is not None and type(callback) is not FunctionType:
            activity = begin_callback(loop, found, callback, by, cause_ns, start_ns, context)
        mine["current"] = (callback, by, cause_ns) if activity is None else activity
    except Exception as error:
        probe_failed("loop", error)
        run(handle)
        return
    try:
        run(handle)
    finally:
        try:
            end_callback(loop, mine, activity, found, callback, start_ns, perf_counter_ns())
        except Exception as error:
            probe_failed("loop", error)
        # the frames of what failed in there refer back to this one: like asyncio's own `_run`, it must not
        # keep the task, its exception and so itself alive
        handle = callback = context = run = None  # type: ignore[assignment]
        activity = found = None


def install() -> Callable[[], None]:
    """Replaces the handle class, wraps timers and the selector; returns the undo."""
    plain_handle, timer_handle = events.Handle, events.TimerHandle
    plain_run = plain_handle._run

    class Handle(plain_handle):  # type: ignore[misc, valid-type]
        __slots__ = ("_by", "_cause_ns")
        _by: Waker
        _cause_ns: int

        def __init__(self, callback: Any, args: Any, loop: Any, context: Any = None) -> None:
            plain_handle.__init__(self, callback, args, loop, context)
            if self._source_traceback:  # debug mode: asyncio takes its caller's frame for the last one
                del self._source_traceback[-1]
            self._by, self._cause_ns = waker_now(perf_counter_ns())

        def _run(self) -> None:
            if self._by is IO or self._by is IO_LATE:  # made once, run often: dated from this round's select
                loop = here.loop
                if loop is None:
                    self._cause_ns = perf_counter_ns()
                else:
                    self._cause_ns = loop.polled_ns
                    self._by = IO if loop.polled_ns == loop.select_end_ns else IO_LATE
            _run_stamped(self, self._by, self._cause_ns, plain_run)
            self = None  # type: ignore[assignment]  # breaks cycles when an exception occurs

    # TimerHandle itself must stay: its comparisons ask isinstance(other, TimerHandle), and timers set
    # before `start` share a heap with those set after it
    def run_timer(self: Any) -> None:
        due_ns = int(self._when * 1e9)  # loop.time() and perf_counter share a clock
        _run_stamped(self, TIMER, due_ns, plain_run)  # who woke the woken was the clock
        self = None  # breaks cycles when an exception occurs

    Handle.__module__, Handle.__qualname__ = plain_handle.__module__, plain_handle.__qualname__
    events.Handle = Handle  # type: ignore[misc]
    timer_handle._run = run_timer  # type: ignore[method-assign]
    undo_select = _wrap_select(selectors.DefaultSelector)
    undo_readers = [_mark_io(name, Handle) for name in ("_add_reader", "_add_writer")]

    def undo() -> None:
        events.Handle = plain_handle  # type: ignore[misc]
        del timer_handle._run
        undo_select()
        for restore in undo_readers:
            restore()

    return undo


def _wrap_select(selector_class: type[Any]) -> Callable[[], None]:
    plain_select = selector_class.select

    def select(self: Any, timeout: float | None = None) -> Any:
        loop = here.loop
        if loop is None or here.current is not None:  # not the loop's own
            return time_call(plain_select, "selectors.select", self, timeout)
        start_ns = perf_counter_ns()
        ready = plain_select(self, timeout)
        end_ns = perf_counter_ns()
        # with nothing to wait for it only looks
        slept = timeout != 0 and end_ns - start_ns >= _SLEEP_MIN_NS
        loop.polled_ns = end_ns if slept else loop.select_end_ns
        loop.select_end_ns = end_ns
        loop.selects = True
        if slept and loop.short_count:
            flush_short(loop)
        if slept or end_ns - start_ns >= _STALL_MIN_NS:
            loop.looks.append(Look(start_ns, end_ns, queued_since(loop), slept))
        return ready

    selector_class.select = select

    def undo() -> None:
        selector_class.select = plain_select

    return undo


def _mark_io(method: str, handle_class: type[Any]) -> Callable[[], None]:
    # a reader's handle is made once and run at each event: its maker did not wake anybody
    loop_class = selector_events.BaseSelectorEventLoop
    plain_add = getattr(loop_class, method)

    def add(self: Any, fd: Any, callback: Any, *args: Any) -> Any:
        handle = plain_add(self, fd, callback, *args)
        if isinstance(handle, handle_class):
            handle._by = IO
        return handle

    setattr(loop_class, method, add)

    def undo() -> None:
        setattr(loop_class, method, plain_add)

    return undo
