"""Times one call that may block the thread, from outside: its end is observed only when Python runs again."""

import functools
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from typing import Any, Final

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.host.thread_clocks import NOT_COUNTED, sleeps
from whywait.tracer.hotpath.job_names import PLAIN
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import begin_wait, end_wait
from whywait.tracer.hotpath.thread_waits import KEPT_NS, keep_wait, waiter_here
from whywait.tracer.records.current import here
from whywait.tracer.records.lock_holds import Waited
from whywait.tracer.records.request import Waker
from whywait.tracer.schema import WAIT_BLOCKING

# a single system call: any sleep of its thread afterwards is for the GIL
_ONCE: Final = frozenset({
    *(f"socket.{name}" for name in (
        "accept", "connect", "recv", "recv_into", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "send",
        "sendmsg", "sendto",
    )),
    "select.select", "selectors.select", "subprocess.wait", "threading.Thread.join",
})  # fmt: skip
# a call that usually blocks once, or several of them in a row
_MOSTLY_ONCE: Final = frozenset({"socket.sendall", "ssl.read", "ssl.send", "ssl.write", "socket.getaddrinfo"})
Instant = Callable[[tuple[Any, ...]], bool]


def timed(
    plain: Any, what: str, is_instant: Instant | None = None, ended_by: Callable[[tuple[Any, ...]], Waker] | None = None
) -> Any:
    """Return a replacement of `plain` whose time off CPU in a request's function is a wait for `what`, unless
    `is_instant`. Its end is inferred: it may include a wait for the GIL. `ended_by` tells whose end it awaits."""
    counted = what in _ONCE
    short = Waited(what, end_seen=False, sleeps=NOT_COUNTED if counted or what in _MOSTLY_ONCE else None)

    @functools.wraps(plain)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            current = here.current
            if current is None or type(current) is tuple:  # a loop, or a callback outside any request
                return plain(*args, **kwargs)
            if here.waiting or (is_instant is not None and is_instant(args)):
                return plain(*args, **kwargs)
            activity = waiter_here()
            if activity is None:
                return plain(*args, **kwargs)
            inside = begin_wait()
            before = sleeps() if counted else NOT_COUNTED
            cpu_ns = thread_time_ns()
            start_ns = perf_counter_ns()
            try:
                return plain(*args, **kwargs)
            finally:
                end_ns = perf_counter_ns()
                end_wait(inside)
                try:
                    blocked_to_ns = max(end_ns - (thread_time_ns() - cpu_ns), start_ns)
                    waited = short
                    if before != NOT_COUNTED and end_ns - start_ns >= KEPT_NS:
                        waited = short._replace(sleeps=sleeps() - before)
                    by = ended_by(args) if ended_by is not None and args else None
                    keep_wait(activity, WAIT_BLOCKING, start_ns, blocked_to_ns, blocked_to_ns, by, waited)
                except Exception as error:
                    probe_failed("blocking", error)
        except BaseException as error:
            take_this_frame_out(error)
            raise

    setattr(call, PLAIN, plain)
    return call
