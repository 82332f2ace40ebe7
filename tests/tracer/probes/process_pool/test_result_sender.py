"""Pure: which worker sent a result, by the bytes that each has written."""

import pytest

from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.probes.process_pool.process_queue import Senders
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Calls, Part, Passage

SIZE = 118


def result_of(length: int) -> Passage:
    result = Passage(Calls(lambda: None), None, Occupancy("job", 1, 1, None))
    result.length = length
    return result


def came(senders: Senders, length: int, **written: int) -> Passage:
    """A result, with what the workers 1, 2, ... had written when it had come."""
    senders.read({int(name[1:]): WorkerClock(0, 0, count) for name, count in written.items()})
    result = result_of(length)
    senders.came(result)
    return result


def begun(**written: int) -> Senders:
    senders = Senders()
    senders.read({int(name[1:]): WorkerClock(0, 0, count) for name, count in written.items()})
    return senders


def test_who_wrote_sent_it() -> None:
    senders = begun(w1=0, w2=500)
    assert came(senders, SIZE, w1=0, w2=500 + SIZE).worker == 2
    assert came(senders, SIZE, w1=SIZE, w2=500 + SIZE).worker == 1


def test_a_job_that_writes_for_itself() -> None:
    senders = begun(w1=0, w2=0)
    # worker 1 wrote into a log: as much as the result has, and more, but not exactly so much
    assert came(senders, SIZE, w1=4_000, w2=SIZE).worker == 2
    assert came(senders, SIZE, w1=4_000 + SIZE, w2=SIZE).worker == 1
    assert came(senders, SIZE, w1=4_000 + SIZE, w2=2 * SIZE).worker == 2


def test_two_that_came_at_once_are_not_told_apart_but_by_length() -> None:
    senders = begun(w1=0, w2=0)
    first, second = came(senders, SIZE, w1=SIZE, w2=SIZE), result_of(SIZE)
    senders.came(second)
    assert first.worker == second.worker == 0
    assert came(senders, SIZE, w1=2 * SIZE, w2=SIZE).worker == 1  # those two are settled
    senders = begun(w1=0, w2=0)
    first, second = came(senders, SIZE, w1=SIZE, w2=SIZE + 1), result_of(SIZE + 1)
    senders.came(second)
    assert (first.worker, second.worker) == (1, 2)


@pytest.mark.parametrize(
    ("name", "used_ns", "told"),
    [
        pytest.param("job", 1_000_000, {1, 2}, id="it makes no difference which is whose"),
        pytest.param("other", 1_000_000, {0}, id="two functions"),
        pytest.param("job", 60_000_000, {0}, id="one computed, the other did not"),
    ],
)
def test_two_that_came_at_once_after_the_same_work_have_a_sender_each(name: str, used_ns: int, told: set[int]) -> None:
    begin, end = ({1: WorkerClock(0, 0), 2: WorkerClock(0, 0)}, {1: WorkerClock(0, 0), 2: WorkerClock(used_ns, 0)})
    senders, results = begun(w1=0, w2=0), [result_of(SIZE), result_of(SIZE)]
    results[1].held.name = name
    for one in results:
        one.turn_ns, one.receiving, one.before, one.after = 1, Part(1, 1, 100_000_000), begin, end
    senders.read({1: WorkerClock(0, 0, SIZE), 2: WorkerClock(used_ns, 0, SIZE)})
    for one in results:
        senders.came(one)
    assert {one.worker for one in results} == told


def test_an_account_that_is_late() -> None:
    senders = begun(w1=0, w2=0)
    result = came(senders, SIZE, w1=0, w2=0)
    assert result.worker == 0
    senders.read({1: WorkerClock(0, 0, 0), 2: WorkerClock(0, 0, SIZE)})
    assert result.worker == 2


def test_one_worker_alone() -> None:
    senders = begun(w1=0)
    assert came(senders, SIZE, w1=SIZE).worker == 1
    # another one in its place, which has sent nothing yet
    assert came(senders, SIZE, w2=0).worker == 0


def test_a_worker_that_ended_may_have_sent_it() -> None:
    senders = begun(w1=0, w2=0)
    assert came(senders, SIZE, w2=SIZE).worker == 0


def test_what_was_written_before_anybody_looked() -> None:
    senders = begun(w1=0, w2=SIZE)
    assert came(senders, SIZE, w1=SIZE, w2=SIZE).worker == 1
