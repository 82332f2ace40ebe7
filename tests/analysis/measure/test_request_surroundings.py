"""What surrounded a request, how its collection was delayed, and how causes go with load: from drawings."""

import numpy as np
import pandas as pd
import pytest

from tests.analysis.drawing import drawn
from tests.analysis.fabricate import analysis_of, random_analysis
from whywait import analysis
from whywait.analysis.measure.causes_by_load import causes_by_load, in_flight
from whywait.analysis.measure.job_times import collect_delay, job_times
from whywait.analysis.measure.request_surroundings import scene
from whywait.analysis.measure.selection import request_row
from whywait.tracer import schema

LATE = """
    server GET            |------------------------------|
    task   root           |------------------------------|        cpu=4
    wait   w     root        |---------|                           type=await waker=job
    wait   busy  root                  |-----------|               type=loop_busy
    job    job   root        |---------------------|
    wait   q     job         |---|                                 type=pool_queue
    run    run   job             |-----|                           cpu=3 rq=1
    server OTHER           |-----------------------------| trace=b
    task   other           |-----------------------------| trace=b cpu=9
    block  hold  other                 |-----------|       trace=b cpu=11
"""
MORE = {
    "busy": {schema.BLOCKER_FUNCTION: "hold", schema.BLOCKER_FILE: "/srv/app/slow.py", schema.BLOCKER_LINE: 30},
    "run": {schema.THREAD_NAME: "pool_0", schema.THREAD_ID: 7, schema.GIL_NS: 2_000_000},
}  # fmt: skip


@pytest.fixture(scope="module")
def late() -> analysis.Analysis:
    return analysis.analyze(drawn(LATE, MORE))


def test_the_jobs_four_moments(late: analysis.Analysis) -> None:
    (job,) = job_times(late).to_dict("records")
    assert [job[name] / 1e6 for name in ("queue_ns", "run_ns", "collect_ns")] == [4, 6, 12]
    assert job["on_path"]


def test_the_delay_is_divided_exactly_and_names_who(late: analysis.Analysis) -> None:
    rows = collect_delay(late)
    (job,) = job_times(late).to_dict("records")
    assert rows["amount_ns"].sum() == job["collect_ns"]
    assert list(rows["cause"]) == ["loop_busy"]
    assert list(rows["culprit"]) == ["hold"]


def test_no_jobs_no_delay() -> None:
    given = random_analysis(1, 30)
    assert job_times(given).empty
    assert collect_delay(given).empty


def test_the_scene_has_the_loop_the_workers_and_the_path(late: analysis.Analysis) -> None:
    request = late.requests[late.requests["endpoint"] == "GET"].iloc[0]
    found = scene(late, request["request_id"], bins=31)
    assert list(found.loop["name"]) == ["hold"]
    assert list(found.loop["own"]) == [False]
    assert list(found.workers["lane"]) == ["pool_0 (7)"]
    assert list(found.workers["own"]) == [True]
    path = found.path
    assert path["start_ns"].iloc[0] == 0
    assert path["end_ns"].iloc[-1] == found.wall_ns
    assert (path["start_ns"].iloc[1:].to_numpy() == path["end_ns"].iloc[:-1].to_numpy()).all()
    blocked = path[path["cause"] == "loop_busy"].iloc[0]
    assert (blocked["culprit"], blocked["place"]) == ("hold", "app/slow.py:30")


def test_the_strips_hold_as_much_time_as_was_measured(late: analysis.Analysis) -> None:
    request = late.requests[late.requests["endpoint"] == "GET"].iloc[0]
    strips = scene(late, request["trace_id"], bins=62).strips
    width = (strips["end_ns"] - strips["start_ns"]).to_numpy()
    assert (strips["gil_wait"] * width).sum() == pytest.approx(2e6, rel=1e-3)
    assert (strips["on_cpu"] * width).sum() == pytest.approx(3e6 + 11e6, rel=1e-3)
    assert (strips["cpu_wait"] * width).sum() == pytest.approx(1e6, rel=1e-3)


def test_a_request_that_is_not_there(late: analysis.Analysis) -> None:
    with pytest.raises(analysis.InputError, match="no analysed request 'nope'"):
        request_row(late, "nope")


def test_in_flight_counts_who_was_open() -> None:
    requests = pd.DataFrame({"start_ns": [0, 5, 6, 20], "end_ns": [10, 7, 30, 25], "weight": 1.0})
    assert list(in_flight(requests)) == [1, 2, 3, 2]
    heavy = requests.assign(weight=[4.0, 1.0, 1.0, 1.0])
    assert list(in_flight(heavy)) == [1, 5, 6, 2]


def test_causes_by_load_hold_all_of_the_time() -> None:
    given = random_analysis(7, 80)
    table = causes_by_load(given)
    levels = table.drop_duplicates("in_flight")
    assert levels["requests"].sum() == 80
    total = (table["mean_ns"] * table["requests"]).sum()
    assert total == pytest.approx(given.causes["amount_ns"].sum())
    assert len(set(table.groupby("in_flight")["cause"].apply(tuple))) == 1


def test_no_requests_no_levels() -> None:
    assert causes_by_load(analysis_of({})).empty
    assert np.issubdtype(in_flight(analysis_of({}).requests).dtype, np.number)
