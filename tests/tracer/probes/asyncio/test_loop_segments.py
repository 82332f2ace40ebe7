"""What the loop's thread lacked while others' callbacks ran is theirs no more: it was without a CPU."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.kernel import run_queue_ns
from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.records.loop import Callback, Look
from whywait.tracer.schema import WAIT_LOOP_BUSY, WAIT_RESUME
from whywait.tracer.spans.segments import loop_segments, queued_in

Begin = Callable[..., Traced]
SCHEDSTAT = Path("/proc/thread-self/schedstat")
RIVAL = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
print("here", flush=True)
while True: pass
"""


def callback(start: int, end: int, queued: int | None) -> Callback:
    return Callback(start, end, end - start, 1, 0, 0, None, None, None, queued)


def test_a_callback_that_is_cut_has_its_part_of_the_run_queue() -> None:
    #   callbacks |==========10 queued=========|      the wake-up comes in the midst of it
    (segment,) = loop_segments(50, 100, [callback(0, 100, 10)], [])
    assert (segment.kind, queued_in(segment)) == (WAIT_LOOP_BUSY, 5)


def test_what_was_read_of_some_is_known_of_the_segment_and_never_more_than_it() -> None:
    (segment,) = loop_segments(0, 100, [callback(0, 40, None), callback(40, 100, 55)], [])
    assert queued_in(segment) == 55
    (unknown,) = loop_segments(0, 100, [callback(0, 100, None)], [])
    assert queued_in(unknown) is None
    (most,) = loop_segments(0, 100, [callback(0, 100, 400)], [])
    assert queued_in(most) == 100


def test_a_loop_that_was_away_says_how_long_it_was_without_a_cpu() -> None:
    (segment,) = loop_segments(10, 100, [], [Look(0, 100, 30, False)])
    assert (segment.kind, queued_in(segment)) == (WAIT_RESUME, 30)


@pytest.mark.skipif(not SCHEDSTAT.exists(), reason="the kernel does not say here")
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_who_blocks_the_loop_without_a_cpu_is_not_taken_to_run(traced_to: Begin, factory: Any) -> None:
    """Two processes on one CPU: of a callback's wall time half is the other's, and the victim is told so."""
    mine = os.sched_getaffinity(0)
    rival = subprocess.Popen([sys.executable, "-c", RIVAL, str(min(mine))], stdout=subprocess.PIPE)
    assert rival.stdout is not None
    rival.stdout.readline()
    spans = traced_to()
    queued_ns: list[int] = []

    def block() -> None:
        before = run_queue_ns()
        until_ns = time.thread_time_ns() + 60_000_000
        while time.thread_time_ns() < until_ns:
            pass
        queued_ns.append(run_queue_ns() - before)

    async def blocker() -> None:
        with phase("blocker's"):
            await asyncio.sleep(0.001)
            block()

    async def victim() -> None:
        with phase("victim's"):
            await asyncio.sleep(0.002)

    async def both() -> None:
        await asyncio.gather(blocker(), victim())

    loop = factory()
    try:
        os.sched_setaffinity(0, {min(mine)})
        loop.run_until_complete(both())
    finally:
        os.sched_setaffinity(0, mine)
        rival.kill()
        rival.communicate()
        loop.close()
    spans.stop()
    trace_id = spans.one("victim's").trace_id
    busy = [one for one in spans.of_kind("wait") if one["wait"] == "loop_busy" and one.trace_id == trace_id]
    assert busy
    told_ns = sum(one["run_queue_ns"] or 0 for one in busy)
    assert queued_ns[0] > 5_000_000, "the rival did not run"
    assert told_ns == pytest.approx(queued_ns[0], rel=0.25)
