"""Whether requests made pools of their own: by which pool their jobs were in, and when it was made."""

from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from tests.analysis.fabricate import MS, analysis_of
from whywait.analysis.model import Analysis
from whywait.analysis.situations.pool_use import one_by_one_ns, pool_use
from whywait.analysis.situations.situation import Situation, numbers
from whywait.analysis.verdicts.judgement import judge
from whywait.tracer import schema

AGE_MS = 1


def of_pools(*pools: int, cause: str = "pool_startup") -> Analysis:
    """Return requests that are all open at once, each with jobs in the pool of this number, AGE_MS old."""
    made = analysis_of(
        {"GET /a": [{cause: 9_000}] * len(pools)},
        jobs={"GET /a": [{schema.POOL_NAME: "own", schema.POOL_AGE_NS: AGE_MS * MS}] * 2},
    )
    moment = int(made.requests["start_ns"].max()) + 10 * MS
    pool_of = dict(zip(made.requests["trace_id"], pools, strict=True))
    is_job = made.spans["attributes"].map(lambda attributes: attributes[schema.KIND] == schema.KIND_JOB)
    made.spans.loc[is_job, "start_ns"] = moment
    made.spans["attributes"] = [
        attributes | {schema.POOL_ID: pool_of[trace_id]}
        for trace_id, attributes in zip(made.spans["trace_id"], made.spans["attributes"], strict=True)
    ]
    return made


def test_a_function_in_a_pool_of_each_request_is_named_once() -> None:
    one = analysis_of({"GET /a": [{"loop_wakeup": 200}] * 2}, jobs={"GET /a": [{schema.COUNT: 60}]})
    is_job = one.spans["attributes"].map(lambda attributes: attributes[schema.KIND] == schema.KIND_JOB)
    one.spans.loc[is_job, "end_ns"] = one.spans.loc[is_job, "start_ns"] + 150 * MS
    pools = iter(("own-1", "own-2"))
    one.spans["attributes"] = [
        found | ({schema.POOL_NAME: next(pools)} if job else {})
        for found, job in zip(one.spans["attributes"], is_job, strict=True)
    ]
    (judged,) = judge(one)
    (found,) = (numbers(one) for one in judged.situations if one.kind is Situation.THREAD_HOPS)
    assert (found["function"], found["per_request"]) == ("predict", 60)


@pytest.mark.parametrize(
    ("functions", "each", "is_told"),
    [(("open", "read", "close"), 150, True), (("open",), 150, False), (("execute", "fetch", "close"), 40, True),
     (("execute", "fetch", "close"), 6, False)],
)  # fmt: skip
def test_very_many_jobs_in_turn_of_several_functions_are_told_together(
    functions: tuple[str, ...], each: int, *, is_told: bool
) -> None:
    """Of 200 ms each function has 40."""
    one = analysis_of(
        {"GET /a": [{"loop_wakeup": 200}] * 2},
        jobs={"GET /a": [{schema.POOL_NAME: "default", schema.COUNT: each}] * len(functions)},
    )
    is_job = one.spans["attributes"].map(lambda attributes: attributes[schema.KIND] == schema.KIND_JOB)
    one.spans.loc[is_job, "name"] = [f"{schema.JOB_SPAN_PREFIX}{name}" for name in functions] * 2
    one.spans.loc[is_job, "end_ns"] = one.spans.loc[is_job, "start_ns"] + 40 * MS
    (judged,) = judge(one)
    found = [numbers(one) for one in judged.situations if one.kind is Situation.THREAD_HOPS]
    assert bool(found) is is_told
    if is_told:
        assert (found[0]["function"], found[0]["per_request"]) == (
            ", ".join(sorted(functions)[:2]) + f" and {sorted(functions)[2]}",
            3 * each,
        )
        assert judged.reasons[0].remedy.key == "loop_wakeup/thread_hops"


@pytest.mark.parametrize("awaited_in", ["/x/site-packages/anyio/to_thread.py", "/srv/files.py"])
def test_jobs_that_a_library_awaits_are_the_endpoint_s(awaited_in: str) -> None:
    one = analysis_of({"GET /a": [{"loop_wakeup": 200}] * 2}, jobs={"GET /a": [{schema.COUNT: 450, "name": "read"}]})
    rows = one.spans["attributes"].map(lambda found: found[schema.KIND] == schema.KIND_JOB)
    one.spans.loc[rows, "end_ns"] = one.spans.loc[rows, "start_ns"] + 120 * MS
    root = {schema.ROOT: True, schema.CODE_FUNCTION: "download", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 3}
    place = {schema.CODE_FUNCTION: "hop", schema.CODE_FILE: awaited_in, schema.CODE_LINE: 7, schema.WAKER_NAME: "read"}
    added = one.spans[rows].assign(attributes=[root] * 2), one.spans[rows].assign(attributes=[place] * 2)
    (judged,) = judge(replace(one, spans=pd.concat([one.spans, *added], ignore_index=True)))
    (found,) = [numbers(one) for one in judged.situations if one.kind is Situation.THREAD_HOPS]
    wanted = " in hop (srv/files.py:7)" if awaited_in.startswith("/srv") else " in download (srv/app.py:3)"
    assert found["where"] == wanted


@pytest.mark.parametrize("traces", [["a"], ["a", "b"]], ids=["one", "two with equal span ids"])
def test_pieces_of_one_job_are_those_of_its_trace(traces: list[str]) -> None:
    """Two pieces end at 50 and 100 ms, on a job that another task began."""
    job = {schema.KIND: schema.KIND_JOB, schema.SPAWNED_BY: "1"}
    asked = {schema.FOR: "SyncToAsync.__call__", schema.FOR_MODULE: "asgiref.sync", schema.WAKER_SPAN_ID: "9"}
    drawn = [("9", 100, job), ("3", 50, asked | {schema.ACTIVITY: "5"}), ("4", 100, asked | {schema.ACTIVITY: "6"})]
    spans = [
        {"trace_id": trace, "span_id": span_id, "start_ns": 0, "end_ns": ms * MS, "attributes": said}
        for trace in traces
        for span_id, ms, said in drawn
    ]
    group: Any = SimpleNamespace(own_spans=pd.DataFrame(spans), requests=traces)
    assert one_by_one_ns(group) == 50 * MS


def own_pools(found: Analysis) -> list[Mapping[str, Any]]:
    return [numbers(one) for told in judge(found) for one in told.situations if one.kind is Situation.POOL_PER_REQUEST]


def test_each_its_own() -> None:
    (one,) = own_pools(of_pools(1, 2, 3))
    assert one["share"] == 1
    assert not one["decides"]  # nothing waited for its start or end


def test_one_pool_that_the_first_request_made_is_everybodys() -> None:
    assert own_pools(of_pools(7, 7, 7)) == []


def test_a_pool_made_before_a_request_of_the_same_trace_is_not_its_own() -> None:
    given = of_pools(1, 2)
    first, second = given.requests["trace_id"]
    frames = [frame.assign(trace_id=frame["trace_id"].replace(second, first))
              for frame in (given.requests, given.causes, given.culprits, given.spans)]  # fmt: skip
    given = Analysis(*frames)
    # the second request begins after the pool was made, and before its jobs
    moment = given.spans["start_ns"].max() - AGE_MS * MS // 2
    given.requests["start_ns"] = pd.Series([given.requests["start_ns"].iloc[0], moment])
    assert pool_use(given)["own_pool_share"].tolist() == [0]


@pytest.mark.parametrize("weights", [(9.0, 1.0, 1.0), (1.0, 1.0, 9.0)])
def test_requests_count_by_weight(weights: tuple[float, ...]) -> None:
    given = of_pools(1, 7, 7)
    given.requests["weight"] = weights
    assert pool_use(given)["own_pool_share"].tolist() == [pytest.approx(weights[0] / sum(weights))]


def with_waits(given: Analysis, kind: str, length_ms: int) -> Analysis:
    """Return the same with one wait more of each of three requests."""
    waits = given.spans.iloc[:3].assign(
        end_ns=given.spans["start_ns"].iloc[:3] + length_ms * MS, name="pool",
        attributes=[{schema.KIND: schema.KIND_WAIT, schema.WAIT: kind}] * 3,
        span_id=[f"{number:016x}" for number in (901, 902, 903)], trace_id=list(given.requests["trace_id"]),
    )  # fmt: skip
    return replace(given, spans=pd.concat([given.spans, waits], ignore_index=True))


@pytest.mark.parametrize(("start_ms", "is_it"), [(8_000, True), (2_000, False)])
def test_jobs_that_queue_while_the_workers_of_their_own_pool_start(start_ms: int, *, is_it: bool) -> None:
    (told,) = judge(with_waits(of_pools(1, 2, 3, cause="pool_queue"), schema.WAIT_POOL_STARTUP, start_ms))
    assert (told.reasons[0].remedy.key == "pool_queue/pool_per_request") == is_it


def test_a_function_in_a_pool_of_its_own_and_in_another_is_told_apart() -> None:
    given = of_pools(1, 2, 3)
    others = given.spans["attributes"].map(lambda one: one[schema.KIND] == schema.KIND_JOB)
    of_default = {schema.POOL_NAME: schema.POOL_NAME_DEFAULT, schema.POOL_ID: 9}
    more = given.spans[others].groupby("trace_id", sort=False).head(1)
    more = more.assign(attributes=[one | of_default for one in more["attributes"]])
    found = pool_use(replace(given, spans=pd.concat([given.spans, more], ignore_index=True)))
    assert found["own_pool_share"].tolist() == [0, 1]


def test_a_pool_whose_end_takes_long_is_what_to_change() -> None:
    (one,) = own_pools(with_waits(of_pools(1, 2, 3), schema.WAIT_POOL_SHUTDOWN, 2_000))
    assert one["decides"]
    assert one["shutdown_ns"] == 2_000 * MS
