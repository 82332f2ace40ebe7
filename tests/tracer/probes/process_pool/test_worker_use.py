"""Pure: which worker sent a result, by the bytes that each has written, and what it used."""

from whywait.tracer.host.process_clocks import WorkerClock
from whywait.tracer.probes.process_pool.worker_use import Readings, WorkerUse

SIZE = 118


def readings(**written: int) -> Readings:
    """What the workers 1, 2, ... had written; each used twice as many ns of CPU time."""
    return {int(name[1:]): WorkerClock(2 * count, count, count) for name, count in written.items()}


def begun(**written: int) -> WorkerUse:
    use = WorkerUse(len(written))
    use.begin(readings(**written))
    return use


def came(use: WorkerUse, length: int, **written: int) -> int:
    return use.result(length, readings(**written), 2).worker


def test_who_wrote_sent_it() -> None:
    use = begun(w1=0, w2=500)
    assert came(use, SIZE, w1=0, w2=500 + SIZE) == 2
    assert came(use, SIZE, w1=SIZE, w2=500 + SIZE) == 1


def test_it_used_what_was_used_since_it_was_free() -> None:
    use = begun(w1=0, w2=500)
    assert use.result(SIZE, readings(w1=0, w2=500 + SIZE), 2) == (2, (2 * SIZE, SIZE, SIZE))
    assert use.result(SIZE, readings(w1=SIZE, w2=600 + SIZE), 2) == (1, (2 * SIZE, SIZE, SIZE))


def test_a_job_that_writes_for_itself() -> None:
    use = begun(w1=0, w2=0)
    # what a job writes besides is no result of its worker, however long
    assert came(use, SIZE, w1=4_000, w2=SIZE) == 2
    assert came(use, SIZE, w1=4_000 + SIZE, w2=SIZE) == 1


def test_two_that_came_at_once_are_not_told_apart_but_by_length() -> None:
    use = begun(w1=0, w2=0)
    # each of the two may have sent either: they have an equal part of what both used
    assert use.result(SIZE, readings(w1=SIZE, w2=SIZE), 2) == (0, (2 * SIZE, None, None))
    assert came(use, SIZE, w1=SIZE, w2=SIZE) == 0
    assert came(use, SIZE, w1=2 * SIZE, w2=SIZE) == 1  # those two are settled
    use = begun(w1=0, w2=0)
    assert came(use, SIZE, w1=SIZE, w2=SIZE + 1) == 1
    assert came(use, SIZE + 1, w1=SIZE, w2=SIZE + 1) == 2


def test_an_account_that_is_late() -> None:
    use = begun(w1=0, w2=0)
    assert came(use, SIZE, w1=0, w2=0) == 0
    assert came(use, SIZE, w1=0, w2=2 * SIZE) == 2


def test_a_second_result_that_is_on_its_way() -> None:
    use = begun(w1=0, w2=0)
    assert came(use, SIZE, w1=0, w2=2 * SIZE) == 2
    assert came(use, SIZE, w1=0, w2=2 * SIZE) == 2


def test_one_worker_alone() -> None:
    assert came(begun(w1=0), SIZE, w1=SIZE) == 1
    assert came(begun(w1=0), SIZE, w1=0) == 1  # whatever it wrote
    assert came(begun(w1=0), SIZE, w2=0) == 0  # another one in its place, which has sent nothing yet


def test_a_worker_that_ended_may_have_sent_it() -> None:
    use = begun(w1=0, w2=0)
    assert came(use, SIZE, w2=SIZE) == 0


def test_what_was_written_before_anybody_read() -> None:
    use = begun(w1=0, w2=SIZE)
    assert came(use, SIZE, w1=SIZE, w2=SIZE) == 1
