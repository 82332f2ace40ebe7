"""Calls that block a thread of a request: how long, where, and what a host must not notice."""

import asyncio
import inspect
import pickle
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import whywait
from tests.tracer.conftest import Span, Traced
from whywait import phase
from whywait.tracer.records.request import MIN_RESOLUTION_NS

Begin = Callable[..., Traced]
PLAIN_SLEEP = time.sleep


def blocking(spans: Traced) -> list[Span]:
    return [span for span in spans.of_kind("wait") if span["wait"] == "blocking_io"]


def in_a_job(function: Callable[[], Any]) -> None:
    with phase("root"), ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


def nap() -> None:
    time.sleep(0.02)


def test_a_sleep_is_as_long_as_was_asked(traced_to: Begin) -> None:
    spans = traced_to()
    in_a_job(nap)
    spans.stop()
    (wait,) = blocking(spans)
    assert wait.ms == pytest.approx(20, abs=0.01), "what came after is the way back to running"
    assert wait.name.startswith("blocked in time.sleep: nap (test_calls.py:")
    assert (wait["for"], wait["waker"]) == ("time.sleep", "timer")
    assert wait.attributes["code.file.path"] == __file__
    assert wait["activity"] == spans.one("job nap").span_id


def test_a_sleep_in_a_coroutine_is_its_own(traced_to: Begin) -> None:
    async def blocker() -> None:
        nap()

    async def main() -> None:
        with phase("root"):
            await asyncio.gather(blocker(), asyncio.sleep(0.001))

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    (wait,) = blocking(spans)
    task = next(span for span in spans.of_kind("task") if span.name.endswith("blocker"))
    assert wait["activity"] == task.span_id
    assert wait.ms == pytest.approx(20, abs=0.01)
    busy = [span for span in spans.of_kind("wait") if span["wait"] == "loop_busy" and span.ms > 10]
    assert busy, "others still see the loop busy"
    assert all(str(span["blocker.function"]).endswith(("nap", "blocker")) for span in busy)


def test_a_job_that_is_a_sleep(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        list(pool.map(time.sleep, [0.01]))
    spans.stop()
    (wait,) = blocking(spans)
    assert wait.name == "blocked in time.sleep: sleep"
    assert spans.one("job sleep").attributes.get("code.file.path") is None


def test_a_socket(traced_to: Begin) -> None:
    spans = traced_to()
    ours, theirs = socket.socketpair()

    asked = threading.Event()

    def answer() -> None:
        asked.wait()
        PLAIN_SLEEP(0.02)
        theirs.send(b"x")

    walls: list[int] = []

    def wall(call: Callable[..., Any], *args: Any) -> Any:
        start_ns = time.perf_counter_ns()
        try:
            return call(*args)
        finally:
            walls.append(time.perf_counter_ns() - start_ns)

    def ask() -> None:
        asked.set()
        assert wall(ours.recv, 1) == b"x"
        ours.settimeout(0.02)
        with pytest.raises(TimeoutError):
            wall(ours.recv, 1)
        ours.setblocking(False)
        with pytest.raises(BlockingIOError):
            ours.recv(1)
        assert wall(select.select, [ours], [], [], 0.01) == ([], [], [])

    thread = threading.Thread(target=answer)
    thread.start()
    in_a_job(ask)
    thread.join()
    ours.close()
    theirs.close()
    spans.stop()
    waits = blocking(spans)
    assert [span["for"] for span in waits] == ["socket.recv", "socket.recv", "select.select"]
    assert len(walls) == len(waits)
    for wait, wall_ns in zip(waits, walls, strict=True):
        assert wall_ns / 2 < wait.end_ns - wait.start_ns <= wall_ns
    assert {span["evidence"] for span in waits} == {"inferred"}


def test_a_subprocess_and_a_thread(traced_to: Begin) -> None:
    spans = traced_to()
    child = [sys.executable, "-S", "-c", "import time; time.sleep(0.05); print('done')"]

    def work() -> None:
        assert subprocess.check_output(child) == b"done\n"
        process = subprocess.Popen(child, stdout=subprocess.DEVNULL)
        assert process.wait(10) == 0
        assert process.wait() == 0
        thread = threading.Thread(target=PLAIN_SLEEP, args=(0.02,))
        thread.start()
        thread.join()
        thread.join()

    in_a_job(work)
    spans.stop()
    waits = [span for span in blocking(spans) if span["for"] != "threading.Thread.start"]
    assert [span["for"] for span in waits] == [
        "subprocess.communicate", "subprocess.wait", "threading.Thread.join",
    ]  # fmt: skip
    assert waits[0].ms >= 50
    assert waits[1].ms >= 30
    assert waits[2].ms >= 10


def test_what_passes_through_is_what_it_was(traced_to: Begin) -> None:
    plain = (repr(time.sleep), time.sleep.__doc__, inspect.isroutine(time.sleep))
    spans = traced_to()
    try:
        with phase("root"):
            assert time.sleep.__name__ == "sleep"
            assert (time.sleep.__doc__, inspect.isroutine(time.sleep)) == plain[1:]
            assert pickle.loads(pickle.dumps(time.sleep)) is time.sleep
            for wrong in ((-1,), ("x",), (), (1, 2)):
                with pytest.raises((ValueError, TypeError)):
                    time.sleep(*wrong)
            assert time.sleep(0) is None  # type: ignore[func-returns-value]
            with pytest.raises(TypeError):
                time.sleep(seconds=1)  # type: ignore[call-arg]
    finally:
        spans.stop()
    assert repr(time.sleep) == plain[0]


def test_an_interrupted_sleep_ends_when_it_was(traced_to: Begin) -> None:
    import signal

    class Interrupt(Exception):
        pass

    def interrupt(*_: Any) -> None:
        raise Interrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    spans = traced_to()
    try:
        with phase("root"):
            signal.setitimer(signal.ITIMER_REAL, 0.02)
            with pytest.raises(Interrupt):
                time.sleep(5)
            nap()
    finally:
        signal.signal(signal.SIGALRM, before)
        spans.stop()
    first, second = blocking(spans)
    assert 10 < first.ms < 4_000
    assert second.ms == pytest.approx(20, abs=0.01)


def test_many_short_waits_cost_no_records(traced_to: Begin) -> None:
    spans = traced_to(max_records_per_request=50)
    short_ns: list[int] = []

    def work() -> None:
        long = 0  # on a crowded machine a short sleep may be a long one, which is a record
        while len(short_ns) < 500 and long < 20:
            start_ns = time.perf_counter_ns()
            time.sleep(1e-6)
            took_ns = time.perf_counter_ns() - start_ns
            if took_ns < MIN_RESOLUTION_NS:
                short_ns.append(took_ns)
            else:
                long += 1
        time.sleep(0.02)

    in_a_job(work)
    spans.stop()
    if len(short_ns) < 100:
        pytest.skip("no sleep is short on this machine now")
    assert not [span for span in spans.spans if span["incomplete"]]
    job = next(span for span in spans.of_kind("job"))
    assert job["small.blocking_io_ns"] >= len(short_ns) * 800  # until its timer, not until it ran again
    assert max(span.ms for span in blocking(spans)) == pytest.approx(20, abs=0.01)


def test_it_can_be_left_out(traced_to: Begin) -> None:
    traced_to(blocking_calls=False, locks="none", logging_ns=-1)
    assert time.sleep is PLAIN_SLEEP
    assert "recv" not in vars(socket.socket)
    whywait.stop()
