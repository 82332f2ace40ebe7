"""Counts are exact, whichever threads count at once."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from whywait.tracer.config import Config
from whywait.tracer.host.tally import Tally
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.keeping.request_totals import Totals

THREADS, EACH = 4, 20_000


@pytest.fixture(autouse=True)
def threads_that_change_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(count: Callable[[], object]) -> None:
    def work() -> None:
        for _ in range(EACH):
            count()

    threads = [threading.Thread(target=work) for _ in range(THREADS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def test_tally() -> None:
    tally = Tally()
    assert int(tally) == 0
    at_once(tally.add)
    assert int(tally) == THREADS * EACH


def test_requests() -> None:
    totals = Totals()
    at_once(lambda: totals.add("GET /", 7, "slow"))
    assert totals.endpoints["GET /"].by_decision == {"slow": THREADS * EACH}
    assert totals.endpoints["GET /"].wall_ns == 7 * THREADS * EACH


def test_losses() -> None:
    recorder = Recorder(Config())
    at_once(lambda: recorder.lose("request"))
    assert recorder.lost == {"request": THREADS * EACH}


def test_a_signal_handler_counts_while_its_thread_counts() -> None:
    recorder, caught = Recorder(Config()), []

    def handle(*_: object) -> None:
        caught.append(recorder.lose("request"))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    try:
        while len(caught) < 50:
            recorder.lose("request", 0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert recorder.lost["request"] > 0  # it did not wait for itself
