"""Waits for locks, conditions, semaphores, events and queues: how long, for whom, until when."""

import queue
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import pytest

from tests.tracer.conftest import Span, Traced
from whywait import phase

Begin = Callable[..., Traced]
ROUNDS = 7


def waits(spans: Traced, kind: str) -> list[Span]:
    return [span for span in spans.of_kind("wait") if span["wait"] == kind]


def together(*functions: Callable[[], Any]) -> None:
    """Runs them as jobs of one request, begun in this order."""
    with phase("root"), ThreadPoolExecutor(len(functions)) as pool:
        jobs = []
        for function in functions:
            jobs.append(pool.submit(function))
            time.sleep(0.003)
        for job in jobs:
            job.result()


def contend(lock: Any) -> tuple[int, int, int]:
    """One job holds what another wants, for 40 ms more; returns when that asked, was let in, and ran again."""
    held, asked = threading.Event(), threading.Event()
    stamps = [0, 0, 0]

    def holder() -> None:
        with lock:
            held.set()
            asked.wait()
            time.sleep(0.04)
            stamps[1] = time.perf_counter_ns()

    def victim() -> None:
        held.wait()
        asked.set()
        stamps[0] = time.perf_counter_ns()
        with lock:
            stamps[2] = time.perf_counter_ns()

    together(holder, victim)
    return stamps[0], stamps[1], stamps[2]


@pytest.mark.parametrize("make", ["Lock", "RLock"])
def test_a_wait_for_a_lock_names_it_and_its_holder(traced_to: Begin, make: str) -> None:
    spans = traced_to()
    lock = getattr(threading, make)()
    asked_ns, released_ns, _ = contend(lock)
    spans.stop()
    (wait,) = waits(spans, "lock_wait")
    assert wait.ms == pytest.approx((released_ns - asked_ns) / 1e6, abs=1)
    assert wait.name.startswith("lock wait: ")
    assert wait.name.split("(")[0].rstrip().endswith("victim")
    assert wait["lock.kind"] == make
    assert wait["lock.file"] == __file__
    assert wait["lock.function"].startswith("test_a_wait_for_a_lock_names_it_and_its_holder")
    assert (wait["lock.waiters"], wait["lock.holds"]) == (1, 1)
    assert wait["blocker.function"].endswith("holder")
    job = next(span for span in spans.of_kind("job") if span.name.endswith("holder"))
    assert wait["blocker.span_id"] == job.span_id
    assert wait["blocker.ns"] == wait.end_ns - wait.start_ns


def test_a_free_lock_is_no_wait(traced_to: Begin) -> None:
    spans = traced_to()
    lock = threading.RLock()

    def work() -> None:
        for _ in range(1000):
            with lock, lock:
                pass

    with phase("root"), ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()
    spans.stop()
    assert waits(spans, "lock_wait") == []
    assert not any(span["small.lock_wait_ns"] for span in spans.spans)


def test_each_in_line_waits_for_those_before_it(traced_to: Begin) -> None:
    spans = traced_to()
    lock = threading.Lock()
    asking: list[None] = []

    def one() -> None:
        asking.append(None)
        with lock:
            while len(asking) < 4:  # nobody lets go before all stand in line
                time.sleep(0.001)
            time.sleep(0.02)

    together(one, one, one, one)
    spans.stop()
    found = sorted(waits(spans, "lock_wait"), key=lambda span: span.end_ns)
    assert [span["lock.holds"] for span in found] == [1, 2, 3]
    assert max(span["lock.waiters"] for span in found) == 3
    for count, span in enumerate(found, 1):
        assert span.ms >= 10 * count
        assert span["blocker.ns"] <= span.end_ns - span.start_ns


def test_a_lock_that_could_not_be_had_in_time(traced_to: Begin) -> None:
    spans = traced_to()
    lock = threading.Lock()
    with phase("root"):
        lock.acquire()
        assert not lock.acquire(timeout=0.02)
        assert not lock.acquire(False)
        lock.release()
    spans.stop()
    (wait,) = waits(spans, "lock_wait")
    assert wait.ms == pytest.approx(20, abs=0.1), "until its timeout, not until it ran again"
    assert wait["waker"] == "timer"
    assert wait["blocker.function"] == "test_a_lock_that_could_not_be_had_in_time"
    assert wait["blocker.ns"] == wait.end_ns - wait.start_ns


def test_who_had_a_lock_that_others_gave_up_waiting_for(traced_to: Begin) -> None:
    """The holder at the time-out, whoever had it before or has it after; nobody if that is not known yet."""
    spans = traced_to()
    lock, held, given_up = threading.Lock(), threading.Event(), threading.Event()

    def keeper() -> None:
        with lock:
            held.set()
            given_up.wait()

    thread = threading.Thread(target=keeper, name="the keeper")
    thread.start()
    held.wait()
    with phase("root"):
        for _ in range(2):
            assert not lock.acquire(timeout=0.01)
        given_up.set()
        thread.join()
        with lock:
            pass
    with phase("never told"):
        lock.acquire()
        assert not lock.acquire(timeout=0.01)
    time.sleep(1.5)  # until it is exported
    spans.stop()
    first, second, last = waits(spans, "lock_wait")
    for one in (first, second):
        assert one["blocker.function"] == "test_who_had_a_lock_that_others_gave_up_waiting_for.<locals>.keeper"
        assert one["blocker.thread"] == "the keeper"
        assert one["lock.waiters"] == 1
    assert last["blocker.function"] is None
    assert lock._waiting == [-1]  # type: ignore[attr-defined]
    lock.release()
    assert lock._waiting == []  # type: ignore[attr-defined]
    assert lock._asked == []  # type: ignore[attr-defined]


def test_a_hog_of_the_gil_does_not_swell_the_wait(traced_to: Begin) -> None:
    spans = traced_to()
    lock = threading.Lock()
    stop = threading.Event()

    def hog() -> None:
        while not stop.is_set():
            sum(range(1000))

    hogs = [threading.Thread(target=hog) for _ in range(3)]
    for one in hogs:
        one.start()
    seen = [contend(lock) for _ in range(ROUNDS)]
    stop.set()
    for one in hogs:
        one.join()
    spans.stop()
    found = sorted(waits(spans, "lock_wait"), key=lambda wait: wait.start_ns)
    assert len(found) == ROUNDS
    resumes = waits(spans, "resume")
    swollen_ms, missing_ms = [], []
    for (asked_ns, released_ns, ran_ns), wait in zip(seen, found, strict=True):
        swollen_ms.append(wait.ms - (released_ns - asked_ns) / 1e6)
        # what came after the release is another wait, of another cause
        after_ms = sum(
            span.ms
            for span in resumes
            if span["activity"] == wait["activity"] and 0 <= span.start_ns - wait.end_ns <= 1_000
        )
        missing_ms.append((ran_ns - asked_ns) / 1e6 - wait.ms - after_ms)
    # a thread that takes a stamp may lose the GIL, or its CPU, right after it, but seldom does
    assert statistics.median(swollen_ms) <= 1
    assert abs(statistics.median(missing_ms)) <= 1


def test_a_semaphore_is_held(traced_to: Begin) -> None:
    spans = traced_to()
    tokens = threading.BoundedSemaphore(1)
    asked_ns, released_ns, _ = contend(tokens)
    spans.stop()
    (wait,) = waits(spans, "lock_wait")
    assert wait.ms == pytest.approx((released_ns - asked_ns) / 1e6, abs=2)
    assert wait["lock.kind"] == "Semaphore.acquire"
    assert wait["lock.file"] == __file__
    assert wait["blocker.function"].endswith("holder")


@pytest.mark.parametrize("what", ["event", "condition", "barrier", "queue", "full queue"])
def test_a_signal_of_the_same_request_is_an_edge(traced_to: Begin, what: str) -> None:
    spans = traced_to()
    event, condition, barrier = threading.Event(), threading.Condition(), threading.Barrier(2)
    items: queue.Queue[int] = queue.Queue(1)
    if what == "full queue":
        items.put(0)

    def waiter() -> None:
        match what:
            case "event":
                assert event.wait()
            case "condition":
                with condition:
                    assert condition.wait()
            case "barrier":
                barrier.wait()
            case "queue":
                assert items.get() == 1
            case "full queue":
                items.put(1)

    def signaller() -> None:
        time.sleep(0.03)
        match what:
            case "event":
                event.set()
            case "condition":
                with condition:
                    condition.notify()
            case "barrier":
                barrier.wait()
            case "queue":
                items.put(1)
            case "full queue":
                items.get()

    together(waiter, signaller)
    spans.stop()
    edges = [span for span in waits(spans, "await") if str(span["for"]).startswith(("threading.", "queue."))]
    (wait,) = edges
    waker = next(span for span in spans.of_kind("job") if span.name.endswith("signaller"))
    assert wait["waker.span_id"] == waker.span_id
    asleep = next(s for s in waits(spans, "blocking_io") if s["activity"] == waker.span_id)
    run = next(span for span in spans.of_kind("run") if span.name.endswith("signaller"))
    assert asleep.end_ns <= wait.end_ns <= run.end_ns, "ends when it was signalled"
    words = {"event": "Event.wait", "condition": "Condition.wait", "barrier": "Barrier.wait", "queue": "Queue.get"}
    assert wait["for"].endswith(words.get(what, "Queue.put"))


def test_what_a_thread_of_nobodys_signals_is_a_wait(traced_to: Begin) -> None:
    spans = traced_to()
    items: queue.Queue[int] = queue.Queue()
    event = threading.Event()

    def outsider() -> None:
        time.sleep(0.02)
        items.put(1)
        time.sleep(0.02)
        event.set()

    thread = threading.Thread(target=outsider)
    with phase("root"):
        thread.start()
        items.get()
        event.wait()
    thread.join()
    spans.stop()
    (got,) = [span for span in waits(spans, "blocking_io") if span["for"] == "queue.Queue.get"]
    (signalled,) = waits(spans, "lock_wait")
    for wait in (got, signalled):
        assert wait.ms >= 15
        assert wait["blocker.function"].endswith("outsider")
        assert wait["blocker.trace_id"] is None


def test_a_timed_wait_for_an_event_ends_at_its_timeout(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"):
        assert not threading.Event().wait(0.02)
        with pytest.raises(queue.Empty):
            queue.Queue().get(timeout=0.02)
    spans.stop()
    for wait in waits(spans, "blocking_io"):
        assert wait.ms == pytest.approx(20, abs=0.5)
        assert wait["waker"] == "timer"
    assert len(waits(spans, "blocking_io")) == 2


def test_waits_inside_waits_are_told_once(traced_to: Begin) -> None:
    spans = traced_to()

    def work() -> None:
        time.sleep(0.02)

    with phase("root"), ThreadPoolExecutor(2) as pool:
        pool.submit(work).result()
        list(pool.map(lambda _: work(), range(2)))
    spans.stop()
    by_activity: dict[str, list[Span]] = {}
    for span in spans.of_kind("wait"):
        by_activity.setdefault(span["activity"], []).append(span)
    for found in by_activity.values():
        found.sort(key=lambda span: span.start_ns)
        for one, after in pairwise(found):
            assert one.end_ns <= after.start_ns, (one, after)


def test_a_future_that_is_nobodys_job_ends_when_it_was_set(traced_to: Begin) -> None:
    spans = traced_to()
    future: Future[int] = Future()
    stamps: list[int] = []

    def setter() -> None:
        time.sleep(0.02)
        stamps.append(time.perf_counter_ns())
        future.set_result(1)

    thread = threading.Thread(target=setter)
    with phase("root"):
        thread.start()
        stamps.insert(0, time.perf_counter_ns())
        future.result()
    thread.join()
    spans.stop()
    (wait,) = waits(spans, "await")
    assert wait.ms == pytest.approx((max(stamps) - min(stamps)) / 1e6, abs=1)
