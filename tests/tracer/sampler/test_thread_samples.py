"""Records of what a thread was seen doing: how they are made of looks, and what of them lies in a stretch."""

import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from whywait.tracer.sampler.child.record_writer import Making, Ring, Thread, queued_ns
from whywait.tracer.sampler.process import Header
from whywait.tracer.sampler.shared.thread_records import FUTEX, GIL, HEADER_SIZE, RECORD, RUNNING, SIZE, SLEEP
from whywait.tracer.sampler.thread_samples import Samples

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
MS = 1_000_000
FUTEX_CALL = 202


class Written:
    """A ring in memory, and what `Samples` asks of the sampler's process."""

    id = 0

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, SIZE)
        self.ring = Ring(self.memory)

    def header(self) -> Header:
        return Header(self.ring.written, 0, 0, 0, 0, 0, 0, 0)

    def records(self, first: int, last: int) -> bytes:
        return self.memory[HEADER_SIZE + first * RECORD.size : HEADER_SIZE + last * RECORD.size]

    def samples(self) -> Samples:
        found = Samples(self)  # type: ignore[arg-type]
        found.read(lambda: None)
        return found


@pytest.fixture
def written() -> Iterator[Written]:
    one = Written()
    yield one
    one.memory.close()


@pytest.fixture
def looked_at(written: Written) -> Iterator[Callable[..., Thread]]:
    """Makes a thread with looks at these times (ms) that found it in a futex."""
    folder = os.open("/proc/self/task", os.O_RDONLY)
    threads: list[Thread] = []

    def make(*at_ms: int) -> Thread:
        one = Thread(threading.get_native_id(), folder)
        threads.append(one)
        for at in at_ms:
            written.ring.take_in(one, at * MS, FUTEX, FUTEX_CALL, 0)
        return one

    yield make
    for one in threads:
        one.close()
    os.close(folder)


def stays(samples: Samples) -> Sequence[tuple[int, int]]:
    return [(one.first_ns // MS, one.last_ns // MS) for one in samples.stays(threading.get_native_id(), 0, 2**60)]


@pytest.mark.parametrize(
    ("spared", "ready_ms", "now_ms", "stay", "looks"),
    [
        pytest.param(0, 45, 45, (5, 45), 5, id="it slept until now"),
        pytest.param(0, 15, 45, (5, 15), 2, id="for half the time it lacked a CPU"),
        pytest.param(0, 1, 45, None, 0, id="it lacked a CPU all the while"),
        pytest.param(4, 45, 45, (5, 45), 9, id="spared looks would have found it asleep"),
        pytest.param(4, 35, 45, (5, 35), 7, id="half of the spared looks would have"),
        pytest.param(4, 15, 45, (5, 15), 2, id="no spared look would have"),
    ],
)  # fmt: skip
def test_who_was_ready_and_lacked_a_cpu_did_not_sleep(
    written: Written,
    looked_at: Callable[..., Thread],
    spared: int,
    ready_ms: int,
    now_ms: int,
    stay: tuple[int, int] | None,
    looks: int,
) -> None:
    one = looked_at(5, 10, 15, 20, 25)
    one.passed_over = spared
    one.slept_until(ready_ms * MS, now_ms * MS)
    written.ring.end(one)
    samples = written.samples()
    assert stays(samples) == ([stay] if stay is not None else [])
    assert samples.seen(one.tid, 0, 100 * MS).states.get(FUTEX, 0) == looks
    assert one.passed_over == 0


def test_what_was_over_as_the_stretch_began_is_no_part_of_it(
    written: Written, looked_at: Callable[..., Thread]
) -> None:
    one = looked_at(5, 10, 15, 20)
    for at, state in ((25, GIL), (30, RUNNING), (35, SLEEP), (40, SLEEP)):
        written.ring.take_in(one, at * MS, state, state, 0)
    written.ring.end(one)
    samples = written.samples()
    assert dict(samples.seen(one.tid, 12 * MS, 50 * MS).states) == {FUTEX: 2, GIL: 1, RUNNING: 1, SLEEP: 2}
    assert dict(samples.seen(one.tid, 12 * MS, 50 * MS, woken=True).states) == {GIL: 1, RUNNING: 1, SLEEP: 2}
    assert dict(samples.seen(one.tid, 38 * MS, 50 * MS, woken=True).states) == {}


@pytest.mark.parametrize(
    ("said", "told_ns"), [(b"123 456 7\n", 456), (b"", 0), (b"0 0 0\n", 0), (b"strange", 0), (b"1 x 2", 0)]
)
def test_the_time_in_the_run_queue_is_the_second_number(said: bytes, told_ns: int) -> None:
    assert queued_ns(said) == told_ns


class Queued(Making):
    """Somebody of whom it is known how long he was in the run queue."""

    queued_ms = 0

    def read_run_queue(self) -> int:
        return self.queued_ms * MS


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "around_ms"),
    [
        pytest.param(12, 18, 6, id="it counts when it is over: more than fits"),
        pytest.param(1, 9, None, id="nothing seen before"),
        pytest.param(12, 60, None, id="nothing seen after"),
        pytest.param(11, 39, 9, id="several looks"),
        pytest.param(32, 38, 0, id="none accrued"),
    ],
)  # fmt: skip
def test_the_most_that_was_queued(written: Written, start_ms: int, end_ms: int, around_ms: int | None) -> None:
    one = Queued(7)
    for at, queued_ms in ((10, 0), (15, 0), (20, 9), (30, 9), (40, 9)):
        one.queued_ms = queued_ms
        written.ring.take_in(one, at * MS, RUNNING, 0, 0)
        written.ring.end(one)
    found = written.samples().run_queue_around_ns(7, start_ms * MS, end_ms * MS)
    assert found == (None if around_ms is None else around_ms * MS)


def test_what_was_queued_by_a_look(written: Written) -> None:
    one = Queued(7)
    for at, queued_ms, state in ((10, 2, RUNNING), (15, 3, FUTEX), (20, 9, GIL)):
        one.queued_ms = queued_ms
        written.ring.take_in(one, at * MS, state, FUTEX_CALL, 0)
        written.ring.end(one)
    samples = written.samples()
    assert samples.queue_asleep_ns(7, 11 * MS, 30 * MS) == 3 * MS  # it stood in no queue while it slept
    assert samples.queue_asleep_ns(7, 16 * MS, 30 * MS) is None  # who waits for the GIL wakes up now and then
    assert samples.queue_before(7, 14 * MS) == (10 * MS, 2 * MS)
    assert samples.queue_before(7, 10 * MS) is None
    assert samples.queue_before(8, 14 * MS) is None
