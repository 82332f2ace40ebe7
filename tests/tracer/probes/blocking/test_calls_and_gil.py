"""A read that is over while another thread holds the GIL: what of it was the read, and what the GIL."""

import ctypes
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from time import perf_counter_ns
from typing import NamedTuple

import pytest

from testbed.disturbed import disturbed
from tests.tracer.conftest import Span, Traced
from tests.tracer.sampler.test_process import active_sampler
from whywait import phase

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
Begin = Callable[..., Traced]
KEEPS_THE_GIL = ctypes.PyDLL(None)
READS = 9
ANSWER_S, HOLD_S = 0.02, 0.04


class Held(NamedTuple):
    """How long a thread kept the GIL from the answer on: the answer came while `send` ran."""

    longest_ns: int
    shortest_ns: int

    def error_ns(self, told_ns: int) -> int:
        return max(told_ns - self.longest_ns, self.shortest_ns - told_ns, 0)


def answered(hold_s: float, count: int = READS) -> list[Held]:
    """Has a thread read a socket again and again, and keeps the GIL for so long after each answer."""
    ours, theirs = socket.socketpair()
    asked = threading.Semaphore(0)
    held: list[Held] = []

    def read() -> None:
        for _ in range(count):
            with phase("request"):
                asked.release()
                assert ours.recv(1) == b"x"

    thread = threading.Thread(target=read)
    with ours, theirs:
        thread.start()
        for _ in range(count):
            asked.acquire()
            time.sleep(ANSWER_S)
            start_ns = perf_counter_ns()
            KEEPS_THE_GIL.send(theirs.fileno(), b"x", 1, 0)
            sent_ns = perf_counter_ns()
            if hold_s:
                KEEPS_THE_GIL.usleep(int(hold_s * 1e6))
            end_ns = perf_counter_ns()
            held.append(Held(end_ns - start_ns, end_ns - sent_ns))
        thread.join()
    return held


def reads(spans: Traced) -> list[Span]:
    spans.stop()
    found = [span for span in spans.of_kind("wait") if span["for"] == "socket.recv"]
    assert len(found) == READS
    return found


def test_a_read_ends_with_its_answer_and_the_rest_is_the_gil(traced_to: Begin) -> None:
    spans = traced_to()
    active_sampler()
    held = answered(HOLD_S)
    found = reads(spans)
    del held[0], found[0]  # its thread was new, and may not have been looked at yet
    queued_ns = [one["run_queue_ns"] or 0 for one in found]
    # what it lacked a CPU may have been before it asked for the GIL, or between two rounds
    errors_ms = [
        max(true.error_ns(one["gil_ns"] + queued) - queued, 0) / 1e6
        for one, queued, true in zip(found, queued_ns, held, strict=True)
    ]
    # where a sample of its thread fell into the first round: to the microsecond; some miss it, and say so
    sure = [error for error, one in zip(errors_ms, found, strict=True) if one["error_ns"] < 100_000]
    if len(sure) <= len(found) / 2:
        disturbed("the sampler had no CPU in the first round of most reads")
    # the answer wakes the reader as late as the end of its sleep woke who kept the GIL
    woken_ms = statistics.median(one.shortest_ns for one in held) / 1e6 - HOLD_S * 1e3
    assert statistics.median(errors_ms) <= 1.5 + woken_ms
    assert statistics.median(sure) <= 1 + woken_ms
    assert all(one["gil_ns"] <= one.end_ns - one.start_ns for one in found)
    assert any(one["holder.names"] for one in found)  # as far as it was looked at


def test_a_read_for_which_nobody_kept_the_gil_waited_for_none(traced_to: Begin) -> None:
    spans = traced_to()
    active_sampler()
    answered(0)
    assert statistics.median((one["gil_ns"] or 0) for one in reads(spans)) == 0
