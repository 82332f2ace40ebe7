"""Threads that ran a loop and ended leave nothing behind."""

import asyncio
import threading
import time
from collections.abc import Callable

from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.hotpath import recorder as recorders

Begin = Callable[..., Traced]
THREADS = 300


def test_loops_of_threads_that_ended_are_forgotten(traced_to: Begin) -> None:
    spans = traced_to()
    recorder = recorders.active
    assert recorder is not None
    most = 0
    with phase("request"):  # while it is open, the latest ones are kept
        for _ in range(THREADS):
            thread = threading.Thread(target=asyncio.run, args=(asyncio.sleep(0),))
            thread.start()
            thread.join()
        deadline = time.monotonic() + 10
        while len(recorder.loops) > THREADS / 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        most = len(recorder.loops)
    while recorder.loops and time.monotonic() < deadline:
        time.sleep(0.05)
    assert 0 < most < THREADS / 2
    assert recorder.loops == []
    spans.stop()


def test_a_loop_of_a_thread_that_lives_is_kept(traced_to: Begin) -> None:
    traced_to()
    recorder = recorders.active
    assert recorder is not None
    leave = threading.Event()

    def run() -> None:
        asyncio.run(asyncio.sleep(0))
        leave.wait()

    thread = threading.Thread(target=run)
    thread.start()
    while not recorder.loops:
        time.sleep(0.01)
    recorder.forget_ended_loops(0)
    assert len(recorder.loops) == 1
    leave.set()
    thread.join()
    recorder.forget_ended_loops(0)
    assert recorder.loops == []
