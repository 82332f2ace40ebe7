"""Starts the tracer in a process of a service that `whywait run` started, and stops it at the process's end."""

import atexit
import os

import whywait
from whywait.tracer import run_summary
from whywait.tracer.waking import lazy_start, termination


def start_now() -> None:
    """Start it, or say on stderr why not. Never raises."""
    try:
        whywait.start()
        atexit.register(_end)
        termination.expect(_end, run_summary.say)
    except Exception as error:  # the service must start, traced or not
        run_summary.tell(
            f"whywait: process {os.getpid()} runs without tracing: {error}. Run `whywait doctor` for the reason"
        )


def _end() -> None:
    whywait.stop(ending=True)


def start_later() -> None:
    """Start it at the first sign that this process serves."""
    lazy_start.arm(start_now)
