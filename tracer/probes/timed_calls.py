"""Times one call that may block the thread, from outside: its end is seen only once Python runs again."""

import functools
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from typing import Any

from tracer.jobs import PLAIN
from tracer.recorder import probe_failed
from tracer.records import Waited, here
from tracer.schema import WAIT_BLOCKING
from tracer.thread_waits import keep_wait, waiter_here

Instant = Callable[[tuple[Any, ...]], bool]


def time_call(plain: Callable[..., Any], what: str, /, *args: Any, **kwargs: Any) -> Any:
    """Calls `plain`; inside a request's function, the time not on a CPU becomes a wait for `what`.

    The wait's end is inferred: it holds the way back to Python too, which may be a wait for the GIL.
    """
    activity = waiter_here()
    if activity is None:
        return plain(*args, **kwargs)
    here.waiting = True
    cpu_ns = thread_time_ns()
    start_ns = perf_counter_ns()
    try:
        return plain(*args, **kwargs)
    finally:
        end_ns = perf_counter_ns()
        here.waiting = False
        try:
            blocked_to_ns = max(end_ns - (thread_time_ns() - cpu_ns), start_ns)
            waited = Waited(what, end_seen=False)
            keep_wait(activity, WAIT_BLOCKING, start_ns, blocked_to_ns, blocked_to_ns, None, waited)
        except Exception as error:
            probe_failed("blocking", error)


def timed(plain: Any, what: str, is_instant: Instant | None = None) -> Any:
    """A function that stands for `plain` and times it where `is_instant` does not say that it cannot block."""

    @functools.wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        current = here.current
        if current is None or type(current) is tuple:  # a loop, or what it does for nobody
            return plain(*args, **kwargs)
        if here.waiting or (is_instant is not None and is_instant(args)):
            return plain(*args, **kwargs)
        return time_call(plain, what, *args, **kwargs)

    setattr(call, PLAIN, plain)
    return call
