"""Starts the tracer in a process of a service that `whywait run` started, and stops it at the process's end."""

import atexit
import os
import signal
import sys
import threading
from collections.abc import Callable

import whywait
from whywait.tracer import run_summary
from whywait.tracer.waking import lazy_start


def start_now() -> None:
    """Start it, or say on stderr why not. Never raises."""
    try:
        whywait.start()
        atexit.register(whywait.stop)
        _stop_on_termination(whywait.stop, run_summary.say)
    except Exception as error:  # the service must start, traced or not
        print(
            f"whywait: process {os.getpid()} runs without tracing: {error}. Run `whywait doctor` for the reason",
            file=sys.stderr,
        )


def start_later() -> None:
    """Start it at the first sign that this process serves."""
    lazy_start.arm(start_now)


def _stop_on_termination(*ends: Callable[[], None]) -> None:
    """SIGTERM's default action ends a process without `atexit`, and uvicorn raises it after its own shutdown: the
    last spans would be lost. A handler that the service sets replaces this one."""

    def on_termination(number: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        for end in ends:
            end()
        signal.raise_signal(signal.SIGTERM)

    # the first loop of a child may run in another thread, which can set no handler
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, on_termination)
