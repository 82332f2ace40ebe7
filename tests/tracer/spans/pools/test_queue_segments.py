"""What a job waited for before its function began: a full pool, or a free worker that did not come."""

import pytest

from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Job, Pool, Request
from whywait.tracer.schema import WAIT_POOL_HANDOVER, WAIT_POOL_QUEUE
from whywait.tracer.spans.pools.history import PoolPast
from whywait.tracer.spans.segments import queue_segments

QUEUE, HANDOVER = WAIT_POOL_QUEUE, WAIT_POOL_HANDOVER


def segments(size: int, held: list[tuple[int, int]], *, born: int, idle_since: int, start: int) -> list[object]:
    """Of a job that a worker took which had been idle since then; `held` are the other jobs' runs."""
    pool = Pool(1, "pool", size, 0, None)
    for number, (begin, end) in enumerate(held):
        one = Occupancy(f"job {number}", 1, number + 1, None)
        one.start_ns, one.end_ns = begin, end
        pool.occupancies.append(one)
    request = Request(1, 1, 1, 0, 100)
    job = Job(request, request.root, born, 0)
    job.pool, job.idle_since_ns, job.start_ns = pool, idle_since, start
    return [(one.kind, one.start_ns, one.end_ns) for one in queue_segments(job, start, PoolPast().full_until)]


def test_all_workers_were_busy_until_one_was_done() -> None:
    #   a |=========|          then this job
    #   b |==============|
    found = segments(2, [(10, 100), (10, 140)], born=20, idle_since=100, start=103)
    assert found == [(QUEUE, 20, 100), (HANDOVER, 100, 103)]


def test_one_worker_did_all_while_the_others_were_free_and_did_not_come() -> None:
    #   a |====||====||====| this job        b, c: idle, and without the GIL
    found = segments(3, [(10, 40), (41, 70), (71, 100)], born=5, idle_since=100, start=101)
    assert found == [(HANDOVER, 5, 100), (HANDOVER, 100, 101)]


def test_the_other_worker_was_done_first_and_did_not_come() -> None:
    #   a |===================| this job
    #   b |=======|
    found = segments(2, [(10, 200), (10, 60)], born=20, idle_since=200, start=202)
    assert found == [(QUEUE, 20, 60), (HANDOVER, 60, 200), (HANDOVER, 200, 202)]


def test_between_two_jobs_of_a_full_pool_nobody_was_free() -> None:
    #   a |======||=====| this job
    #   b |==========||=======
    found = segments(2, [(1, 50), (52, 90), (1, 70), (71, 120)], born=10, idle_since=90, start=92)
    assert found == [(QUEUE, 10, 90), (HANDOVER, 90, 92)]


@pytest.mark.parametrize("idle_since", [50, 90])
def test_a_pool_of_one_worker_was_full_until_it_was_idle(idle_since: int) -> None:
    found = segments(1, [(1, idle_since)], born=10, idle_since=idle_since, start=95)
    assert found == [(QUEUE, 10, idle_since), (HANDOVER, idle_since, 95)]


def test_where_not_all_jobs_are_known_any_more_the_pool_is_taken_to_have_been_full() -> None:
    many = [(1_000 + number, 1_001 + number) for number in range(8_192)]
    found = segments(2, many, born=20, idle_since=9_500, start=9_600)
    assert found == [(QUEUE, 20, 9_500), (HANDOVER, 9_500, 9_600)]
