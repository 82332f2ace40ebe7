"""A request of thousands of jobs is told in short stretches of work, so that its service need not wait for the GIL."""

import pytest

from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Job, Pool, Request
from whywait.tracer.spans import request_spans
from whywait.tracer.spans.cooperative_pause import rested
from whywait.tracer.spans.past import Past
from whywait.tracer.spans.pools.history import PoolPast

MS = 1_000_000


@pytest.mark.parametrize("count", [0, 1, 128, 129, 1_000])
def test_nothing_is_left_out_and_little_is_done_at_once(count: int) -> None:
    done: list[int] = []
    since: list[int] = [0]
    for one in rested(range(count), lambda: since.append(len(done))):
        done.append(one)
    assert done == list(range(count))
    assert max(after - before for before, after in zip(since, [*since[1:], count], strict=True)) <= 128


def request_of(jobs: int) -> Request:
    """Each of its jobs waited for a pool of two workers, behind those before it."""
    request = Request(1, 2, 1, 0, 100_000)
    pool = Pool(1, "pool", 2, 0, None)
    for number in range(jobs):
        job = Job(request, request.root, 1 + number, 0)
        job.name, job.pool = f"job {number % 3}", pool
        job.start_ns, job.end_ns = (1 + number) * MS, (3 + number) * MS
        job.idle_since_ns = job.start_ns if number > 1 else 0
        job.thread_id, job.thread_name = 10 + number % 2, f"worker {number % 2}"
        held = Occupancy(job.name, request.trace_id, job.span_id, None)
        held.start_ns, held.end_ns, held.thread_id = job.start_ns, job.end_ns, job.thread_id
        pool.occupancies.append(held)
        request.activities.append(job)
    request.end_ns = request.root.end_ns = (jobs + 4) * MS
    return request


def test_a_large_request_is_told_with_rests_and_the_same() -> None:
    request = request_of(jobs=1_500)
    rests: list[int] = []
    found = request_spans(request, Past(), (), MS, {}, None, lambda: rests.append(1))
    plain = request_spans(request, Past(pools=PoolPast()), (), MS, {})
    assert [(one.name, one.start_ns, one.end_ns) for one in found] == [
        (one.name, one.start_ns, one.end_ns) for one in plain
    ]
    assert len(found) > 4_000
    assert len(rests) > 1_500
