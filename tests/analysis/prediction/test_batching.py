"""What one call for all items costs is the line through jobs of known cost, or it is refused."""

from random import Random

import pytest

from whywait.analysis.errors import InputError
from whywait.analysis.prediction.batching import batched, cost_of
from whywait.analysis.prediction.programs import Join, Load, Pause, Program, Resources, Run, Start
from whywait.analysis.prediction.replay import replay

MS = 1e6
CALL_MS, ITEM_MS, QUEUED_MS = 3.0, 0.5, 0.1
RANDOM = Random(4)


def request(*sizes: int, noise: float = 0.0, random: Random = RANDOM) -> Program:
    """Starts a job for each of these numbers of items and joins them; each job computes for CALL + ITEM · n ms."""
    ran = [(CALL_MS + ITEM_MS * size) * MS * random.uniform(1 - noise, 1 + noise) for size in sizes]
    root = (*(Start(at + 1) for at in range(len(sizes))), Join(tuple(range(1, len(sizes) + 1))))
    jobs = tuple(
        (Run(one, True, ("predict",), True), Pause(QUEUED_MS * MS, ("predict",), "gil_wait", True)) for one in ran
    )
    return Program((root, *jobs), (("", 0), *(("predict", size) for size in sizes)))


def test_the_cost_of_a_call_and_of_an_item_is_fitted() -> None:
    found = cost_of([request(1, 2, 5)] * 20, "predict")
    assert (found.call_ns / MS, found.item_ns / MS) == pytest.approx((CALL_MS, ITEM_MS))


def test_it_is_fitted_through_noise() -> None:
    found = cost_of([request(1, 4, 9, noise=0.2) for _ in range(100)], "predict")
    assert found.of(14) / MS == pytest.approx(CALL_MS + ITEM_MS * 14, rel=0.05)


@pytest.mark.parametrize("sizes", [(1, 2, 5), (4, 4), (7,)])
def test_the_jobs_of_a_request_become_one_call_for_all_their_items(sizes: tuple[int, ...]) -> None:
    programs = [request(1, 2, 5), request(*sizes)] * 40
    steps = [batched(programs, "predict")[1]] * 80
    felt = replay(steps, Resources(), Load(1)).felt_ns[0] / MS
    assert felt == pytest.approx(CALL_MS + ITEM_MS * sum(sizes) + QUEUED_MS)  # of one job


def handed_by_tasks(jobs: int, task_ms: float) -> Program:
    """Starts tasks that each hand one job over and wait for it, computing for so long meanwhile."""
    first_job = 1 + jobs
    root = (*(Start(1 + at) for at in range(jobs)), Join(tuple(range(1, first_job))))
    tasks = tuple((Start(first_job + at), Run(task_ms * MS), Join((first_job + at,))) for at in range(jobs))
    ran = tuple((Run((CALL_MS + ITEM_MS * (1 + at)) * MS, True, ("predict",), True),) for at in range(jobs))
    return Program((root, *tasks, *ran), (*[("", 0)] * first_job, *(("predict", 1 + at) for at in range(jobs))))


@pytest.mark.parametrize(("task_ms", "tasks"), [(0.1, 1), (1.0, 3)])
def test_tasks_that_only_handed_jobs_over_go_with_them_but_the_firsts(task_ms: float, tasks: int) -> None:
    """What a task computes for its item beside that stays."""
    one = batched([handed_by_tasks(3, task_ms)] * 40, "predict")[0]
    felt = replay([one] * 40, Resources(), Load(1)).felt_ns[0] / MS
    assert felt == pytest.approx(CALL_MS + ITEM_MS * 6 + tasks * task_ms, rel=0.02)


@pytest.mark.parametrize(
    ("programs", "said"),
    [
        ([request(1, 1)] * 40, "each of its jobs had 1 of them. Record it with different numbers of items per job"),
        ([request(0, 0)] * 40, '0 of its 80 jobs say how many they had, and all must, at least 30. Set "rows" on a span of yours within the job'),
        ([request(3), request(5)] * 40, "nothing to batch: no request has more than one job"),
        ([request(1, 2, noise=0.99) for _ in range(12)] + [request(*[1] * 400)], "do not tell it well enough"),
    ],
)  # fmt: skip
def test_what_the_jobs_cannot_tell_is_refused_with_what_is_needed(programs: list[Program], said: str) -> None:
    with pytest.raises(InputError) as refused:
        batched(programs, "predict")
    assert said in str(refused.value)


def test_jobs_become_a_call_of_another_function_that_was_recorded_with_more_items() -> None:
    one_each = [request(1, 1, 1)] * 40
    many = [request(9)] * 20
    called = [
        one._replace(jobs=tuple((name.replace("predict", "predict_many"), items) for name, items in one.jobs))
        for one in many
    ]
    steps = batched(one_each, "predict=predict_many", called)
    felt = replay(steps, Resources(), Load(1)).felt_ns[0] / MS
    assert felt == pytest.approx(CALL_MS + 3 * ITEM_MS + QUEUED_MS)
    with pytest.raises(InputError, match="no job 'predict_all' in this recording; it has: predict, predict_many"):
        batched(one_each, "predict=predict_all", called)


def twice_as_long(programs: list[Program]) -> list[Program]:
    return [
        one._replace(activities=tuple(tuple(step._replace(ns=step.ns * 2) if isinstance(step, Run) else step for step in steps)
                                      for steps in one.activities))
        for one in programs
    ]  # fmt: skip


def test_what_calls_cost_apart_is_scaled_by_jobs_of_as_many_items_among_the_requests() -> None:
    found = cost_of(twice_as_long([request(1, 1)] * 40), "predict", [request(1), request(8)] * 20)
    assert (found.call_ns / MS, found.item_ns / MS) == pytest.approx((2 * CALL_MS, 2 * ITEM_MS))
    assert cost_of([request(1, 1)] * 40, "predict", [request(8)] * 20).of(8) / MS == pytest.approx(
        CALL_MS + 8 * ITEM_MS
    )


def test_a_function_without_jobs_is_refused_by_name() -> None:
    with pytest.raises(InputError, match="no job 'rank' in this recording; it has: predict"):
        batched([request(1, 2)] * 40, "rank")


def test_where_no_two_calls_run_at_once_those_that_ran_alone_tell_what_they_cost() -> None:
    found = cost_of(twice_as_long([request(1, 1)] * 40), "predict", [request(1), request(8)] * 20, alone=True)
    assert (found.call_ns / MS, found.item_ns / MS) == pytest.approx((CALL_MS, ITEM_MS))
