"""A batcher's calls in a replay, and the way that the adviser finds, against closed forms."""

from functools import partial

import pytest

from whywait.analysis.errors import InputError
from whywait.analysis.prediction.batching import Cost, call_of, collecting
from whywait.analysis.prediction.micro_batches import Batching, Policy, way, ways
from whywait.analysis.prediction.programs import Join, Load, Pause, Program, Resources, Run, Start
from whywait.analysis.prediction.replay import replay

MS = 1e6
CALL_MS, ITEM_MS = 8.0, 1.0
COST = Cost(CALL_MS * MS, ITEM_MS * MS, 64)


def request(items: int, gil: bool = True) -> Program:
    """One job for its items, which waits on no thread's pool."""
    job = (Run((CALL_MS + ITEM_MS * items) * MS, gil, ("predict",), True),)
    return Program(((Start(1), Join((1,))), job), (("", 0), ("predict", items)))


def felt_ms(policy: Policy, load: Load, requests: int = 40) -> tuple[float, float]:
    programs = [request(1)] * requests
    made = partial(Batching, policy, {"predict": call_of(programs, "predict", COST)})
    found = replay(collecting(programs, "predict"), Resources(), load, made=made)
    felt = sorted(found.felt_ns)
    return felt[len(felt) // 2] / MS, found.throughput


def test_one_client_waits_for_the_window_and_its_own_call() -> None:
    assert felt_ms(Policy(5 * MS, 8), Load(1))[0] == pytest.approx(5 + CALL_MS + ITEM_MS)


def test_a_call_begins_at_once_when_it_is_full() -> None:
    felt, per_s = felt_ms(Policy(50 * MS, 4), Load(4), 400)
    assert felt == pytest.approx(CALL_MS + 4 * ITEM_MS)
    assert per_s == pytest.approx(4_000 / (CALL_MS + 4 * ITEM_MS), rel=0.03)


def test_no_call_has_more_items_than_its_size_and_one_runs_at_a_time() -> None:
    felt, per_s = felt_ms(Policy(0, 2), Load(8), 400)
    assert felt == pytest.approx(4 * (CALL_MS + 2 * ITEM_MS), rel=0.1)
    assert per_s == pytest.approx(2_000 / (CALL_MS + 2 * ITEM_MS), rel=0.05)


def test_what_is_tried_goes_up_to_the_items_of_which_the_cost_is_known() -> None:
    programs = [request(items) for items in (1, 2, 4) * 20]
    tried = ways(programs, programs, ["predict"])
    sizes = {one.policy.size for one in tried if one.policy}
    assert sizes == {4, 8, 16}
    assert all(one.policy for one in tried), "no request has several jobs: a call for each is what there is"
    assert tried[0].costs["predict"].of(10) / MS == pytest.approx(CALL_MS + 10 * ITEM_MS)


def test_a_batcher_of_given_window_and_size_is_replayed_or_refused_where_no_call_was_so_large() -> None:
    programs = [request(items) for items in (1, 2, 4) * 20]
    asked = way(programs, programs, ["predict"], 5 * MS, 8, None)
    assert asked.policy == Policy(5 * MS, 8)
    assert way(programs, programs, ["predict"], 0.0, None, 3).policy == Policy(0.0, 16), (
        "as large as the recording tells"
    )
    assert way(programs, programs, ["predict"], 0.0, 99, 3).policy == Policy(0.0, 99), "three clients fill 12"
    assert asked.felt(Resources(), Load(1), 1)[0] / MS == pytest.approx(5 + CALL_MS + 2 * ITEM_MS, abs=ITEM_MS)
    with pytest.raises(InputError, match="one call for 80 items costs: the recording tells it for up to 16"):
        way(programs, programs, ["predict"], 0.0, 99, 20)


def test_the_best_of_what_is_tried_brings_what_a_batcher_brings() -> None:
    programs = [request(items) for items in (1, 2, 4) * 20]
    load = Load(12)
    found = {one.policy: one.felt(Resources(), load, 1) for one in ways(programs, programs, ["predict"])}
    best = max(found.values(), key=lambda one: one[2])
    alone = replay(programs * 5, Resources(), load).throughput
    assert alone == pytest.approx(1e3 / (CALL_MS + ITEM_MS * 7 / 3), rel=0.05)  # the GIL is the limit
    # 16 items: about 6.9 requests a call
    assert best[2] == pytest.approx(6.9e3 / (CALL_MS + ITEM_MS * 16), rel=0.15)


def test_a_pause_of_a_call_is_part_of_it() -> None:
    shape = Program(((Start(1), Join((1,))), (Run(2 * MS), Pause(6 * MS))), (("", 0), ("predict", 1)))
    (steps,) = call_of([shape], "predict", Cost(10 * MS, 3 * MS, 4))(2).activities
    assert sum(step.ns for step in steps if isinstance(step, Run | Pause)) / MS == pytest.approx(16)


def test_a_job_that_only_other_endpoints_have_is_nothing_to_batch() -> None:
    others = [request(1 + number % 4) for number in range(40)]
    own = [one._replace(jobs=(("", 0), ("other", 1))) for one in others]
    with pytest.raises(InputError, match="no request has a job of 'predict'"):
        way(own, own, ["predict"], 5 * MS, 2, 1, others)
