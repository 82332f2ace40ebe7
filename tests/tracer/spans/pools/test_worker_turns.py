"""When a job was taken by a worker of a process pool, from the free places seen in its queue of calls. Pure."""

from collections.abc import Sequence

import pytest

from whywait.tracer.sampler.thread_samples import Stay
from whywait.tracer.spans.pools.process_job_spans import taken

MS = 1_000_000
PLACES = 2
Stays = Sequence[tuple[int, int, int]]  # free places, first and last look (ms)


def taken_ms(stays: Stays, put_ms: Sequence[float], until_ms: int = 100) -> tuple[float, float]:
    """Of the first of the jobs that were put."""
    seen = [Stay(a * MS, b * MS, 0, n) for n, a, b in stays]
    put_ns = [int(one * MS) for one in put_ms]
    found = taken(seen, PLACES, put_ns[0], put_ns, until_ms * MS)
    return found[0] / MS, found[1] / MS


@pytest.mark.parametrize(
    ("stays", "put_ms", "told_ms"),
    [
        pytest.param([(2, 5, 50)], [1], (0, 5), id="nothing is in the queue at the first look"),
        pytest.param([(1, 5, 20), (2, 25, 50)], [1], (20, 25), id="it waits, and then does not"),
        pytest.param([(1, 5, 90)], [1], (90, 0), id="it waits all the while"),
        pytest.param([(0, 3, 10), (1, 15, 50)], [1, 2], (10, 15), id="one behind it"),
        # the look in between, at which there was a place, was missed
        pytest.param([(0, 3, 50)], [1, 2, 9], (3, 9), id="another comes in its place"),
        pytest.param([(0, 3, 50)], [1, 2, 60], (50, 0), id="another would come, and does not"),
    ],
)
def test_when_a_job_was_taken(stays: Stays, put_ms: Sequence[float], told_ms: tuple[float, float]) -> None:
    assert taken_ms(stays, put_ms) == told_ms
