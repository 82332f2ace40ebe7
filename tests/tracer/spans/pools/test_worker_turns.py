"""When a job was taken by a worker of a process pool, and was done, from the bytes seen in the pool's pipes. Pure."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.offcpu.worker_observer import ObservedWorkers
from whywait.tracer.records.process_job import Pipe
from whywait.tracer.sampler.thread_samples import Samples

MS = 1_000_000
EACH = 10  # bytes of a message
Stays = Sequence[tuple[int, int, int]]  # bytes in the pipe, first and last sample (ms)


def reached_ms(stays: Stays, passed_ms: Sequence[float], sign: int, total: int) -> tuple[float, float]:
    seen = [SimpleNamespace(number=n, first_ns=a * MS, last_ns=b * MS) for n, a, b in stays]
    samples = cast(Samples, SimpleNamespace(stays=lambda key, start, end: seen))
    pipe = Pipe(1)
    for one in passed_ms:
        pipe.note(EACH, int(one * MS))
    found = ObservedWorkers(samples, Memory()).reached(pipe, sign, total, MS, 100 * MS)
    return found[0] / MS, found[1] / MS


@pytest.mark.parametrize(
    ("stays", "sent_ms", "told_ms"),
    [
        pytest.param([(0, 5, 50)], [1], (0, 5), id="nothing is in the pipe at the first sample"),
        pytest.param([(10, 5, 20), (0, 25, 50)], [1], (20, 25), id="it waits, and then does not"),
        pytest.param([(10, 5, 90)], [1], (90, 0), id="it waits all the while"),
        pytest.param([(20, 3, 10), (10, 15, 50)], [1, 2], (10, 15), id="one behind it"),
        # the sample in between, at which there were fewer, was missed
        pytest.param([(20, 3, 50)], [1, 2, 9], (3, 9), id="another comes in its place"),
        pytest.param([(20, 3, 50)], [1, 2, 60], (50, 0), id="another would come, and does not"),
    ],
)
def test_when_a_job_was_taken(stays: Stays, sent_ms: Sequence[float], told_ms: tuple[float, float]) -> None:
    assert reached_ms(stays, sent_ms, -1, EACH) == told_ms


@pytest.mark.parametrize(
    ("stays", "read_ms", "told_ms"),
    [
        pytest.param([(0, 5, 20), (10, 25, 50)], [1, 60], (20, 25), id="it waits to be read"),
        pytest.param([(0, 5, 50)], [1, 60], (50, 0), id="it is read at once"),
        pytest.param([(10, 5, 20), (20, 25, 27), (10, 30, 50)], [28, 60], (20, 25), id="behind another"),
        pytest.param([(10, 5, 50)], [28, 60], (5, 28), id="it comes as another is read"),
    ],
)
def test_when_a_job_was_done(stays: Stays, read_ms: Sequence[float], told_ms: tuple[float, float]) -> None:
    """The second result to be read."""
    assert reached_ms(stays, read_ms, 1, EACH + 1) == told_ms
