"""Calls that make a thread wait: told by what ended them, and unchanged for their callers."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.tracer.conftest import Span, Traced
from tracer import phase, recorder

Begin = Callable[..., Traced]


def until_sampled() -> None:
    sampler = recorder.active.sampler if recorder.active is not None else None
    assert sampler is not None
    deadline_s = time.monotonic() + 10
    while not sampler.ready:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)  # the exporter listens to it
    swept = sampler.header().sweeps
    while sampler.header().sweeps < swept + 5:
        time.sleep(0.01)


def waits(spans: Traced, kind: str) -> list[Span]:
    return [span for span in spans.of_kind("wait") if span["wait"] == kind]


def test_a_sleep_in_a_worker_and_in_a_coroutine(traced_to: Begin) -> None:
    spans = traced_to()

    async def main() -> None:
        with phase("root"):
            time.sleep(0.03)
            await asyncio.to_thread(time.sleep, 0.02)

    asyncio.run(main())
    spans.stop()
    found = waits(spans, "blocking_io")
    assert [span.ms for span in found] == pytest.approx([30, 20], abs=0.01)
    assert [(span["for.module"], span["for"]) for span in found] == [("time", "sleep")] * 2
    assert found[0].attributes["code.file.path"] == __file__


def test_what_follows_a_sleep_is_not_the_sleep(traced_to: Begin) -> None:
    spans = traced_to()
    stop = threading.Event()

    def hog() -> None:
        while not stop.is_set():
            sum(range(2_000))

    thread = threading.Thread(target=hog)
    thread.start()
    until_sampled()
    with phase("root"):
        for _ in range(10):
            time.sleep(0.005)
    stop.set()
    thread.join()
    spans.stop()
    slept = waits(spans, "blocking_io")
    assert [span.ms for span in slept] == pytest.approx([5.0] * 10, abs=0.01)
    back = waits(spans, "resume")
    waited_ns = sum(span.end_ns - span.start_ns for span in back)
    assert waited_ns > 10e6  # a switch interval each time
    known_ns = sum((span["gil_ns"] or 0) + (span["run_queue_ns"] or 0) for span in back)
    assert known_ns > 0.5 * waited_ns


def test_sleep_refuses_what_it_refused(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"):
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)
        with pytest.raises(TypeError):
            time.sleep("long")  # type: ignore[arg-type]
    spans.stop()


@pytest.mark.parametrize("how", ["event", "queue", "semaphore", "condition"])
def test_who_ended_a_threads_wait_is_an_edge(how: str, traced_to: Begin) -> None:
    spans = traced_to()
    event, items, tokens = threading.Event(), queue.Queue[int](), threading.Semaphore(0)
    condition = threading.Condition()

    told_at: list[int] = []

    def tell() -> None:
        time.sleep(0.03)
        told_at.append(time.time_ns())
        if how == "condition":
            with condition:
                condition.notify_all()
        else:
            {"event": event.set, "queue": lambda: items.put(1), "semaphore": tokens.release}[how]()

    def wait() -> None:
        if how == "condition":
            with condition:
                condition.wait()
        else:
            {"event": event.wait, "queue": items.get, "semaphore": tokens.acquire}[how]()

    with phase("root"), ThreadPoolExecutor(1) as pool:
        future = pool.submit(tell)
        wait()
        future.result()
    spans.stop()
    (found,) = [span for span in waits(spans, "await") if span.ms > 15]
    assert found.end_ns == pytest.approx(told_at[0], abs=1e6)
    assert found["waker"] == "activity"
    (job,) = spans.of_kind("job")
    assert found["waker.span_id"] == job.span_id
    assert found.attributes["code.file.path"] == __file__


def test_a_join_and_an_untraced_teller(traced_to: Begin) -> None:
    spans = traced_to()
    event = threading.Event()
    first = threading.Thread(target=time.sleep, args=(0.02,))
    second = threading.Timer(0.05, event.set)
    with phase("root"):
        first.start()
        second.start()
        first.join()
        assert event.wait()
    second.join()
    spans.stop()
    found = [span for span in waits(spans, "await") if span.ms > 5]
    assert [span["for"] for span in found] == ["Thread.join", "Event.wait"]
    assert {span["waker"] for span in found} == {"thread"}


def test_a_slow_handler_is_logging_and_its_work_is_not(traced_to: Begin) -> None:
    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.03)

    class Busy(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            until = time.thread_time() + 0.02
            while time.thread_time() < until:
                pass

    logger = logging.getLogger("tests.slow")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    for handler in (Slow(), Busy()):
        logger.addHandler(handler)
    spans = traced_to()
    with phase("root"):
        logger.info("hello")
    spans.stop()
    logger.handlers.clear()
    slow, busy = waits(spans, "logging_wait")
    assert "Slow" in slow["for"]
    assert slow.ms >= 29.9
    assert slow["cpu_ns"] < 5e6
    assert busy["cpu_ns"] >= 19e6
