"""Logging handlers: what a request waited in them, for the handler's lock or for what it writes to."""

import functools
import logging
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from typing import Any

from tracer.recorder import probe_failed
from tracer.records import here
from tracer.schema import WAIT_LOGGING
from tracer.thread_waits import MIN_NS, record_wait, waiting_activity


def install() -> Callable[[], None]:
    """Wraps `Handler.handle`, through which every record goes; returns the undo."""
    plain_handle = logging.Handler.handle

    @functools.wraps(plain_handle)
    def handle(self: Any, record: Any) -> Any:
        activity = waiting_activity()
        if activity is None:
            return plain_handle(self, record)
        cpu_ns, start_ns = thread_time_ns(), perf_counter_ns()
        here.waiting = True
        try:
            return plain_handle(self, record)
        finally:
            here.waiting = False
            end_ns = perf_counter_ns()
            if end_ns - start_ns >= MIN_NS:
                try:
                    what = f"{type(self).__qualname__} {self.name or ''}".strip()
                    cpu_ns = thread_time_ns() - cpu_ns
                    record_wait(activity, WAIT_LOGGING, start_ns, end_ns, end_ns, what=what, cpu_ns=cpu_ns)
                except Exception as error:
                    probe_failed("log handlers", error)

    logging.Handler.handle = handle  # type: ignore[method-assign]

    def undo() -> None:
        logging.Handler.handle = plain_handle  # type: ignore[method-assign]

    return undo
