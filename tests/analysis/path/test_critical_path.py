"""Whose time it was: the critical path over recorded edges."""

from collections.abc import Mapping
from typing import Any

from tests.analysis.drawing import BEGIN_NS, UNIT_NS, drawn, trace_id
from whywait import analysis
from whywait.tracer import schema


def passes(picture: str, trace: str = "a", more: Mapping[str, Any] | None = None) -> list[tuple[float, float, str]]:
    """Return the activities that the path of the trace's request passes through, in order of time."""
    table = analysis.attribute(drawn(picture, more))
    steps: list[tuple[float, float, str]] = []
    for row in table[table["trace_id"] == trace_id(trace)].itertuples():
        start, end = ((time - BEGIN_NS) / UNIT_NS for time in (row.start_ns, row.end_ns))
        if steps and steps[-1][2] == row.activity_name:
            start = steps.pop()[0]
        steps.append((start, end, row.activity_name))
    return steps


def test_of_a_gather_only_the_task_that_ended_it_is_on_the_path() -> None:
    assert passes("""
        server GET         |----------------|
        task   root GET    |----------------|
        wait   w    root      |----------|        waker=slow
        task   fast root     |---|
        task   slow root     |-----------|
    """) == [(0, 2, "root"), (2, 14, "slow"), (14, 17, "root")]  # fmt: skip


def test_work_done_while_a_child_ran_is_not_on_the_path() -> None:
    # the child decides when the wait ends: the root's own work before the wait delayed nothing
    assert passes("""
        server GET         |----------------|
        task   root GET    |----------------|
        task   slow root     |-----------|
        wait   w    root             |---|        waker=slow
    """) == [(0, 2, "root"), (2, 14, "slow"), (14, 17, "root")]  # fmt: skip


def test_a_chain_of_wakers_is_followed_to_its_end() -> None:
    assert passes("""
        server GET         |-------------------|
        task   root GET    |-------------------|
        task   mid  root     |-------------|
        wait   w1   root     |-------------|        waker=mid
        job    job  mid         |-----|
        wait   w2   mid         |-----|             waker=job
    """) == [(0, 2, "root"), (2, 5, "mid"), (5, 11, "job"), (11, 16, "mid"), (16, 20, "root")]  # fmt: skip


def test_a_job_ends_with_its_run_and_what_follows_is_the_waiters() -> None:
    assert passes("""
        server GET         |-------------------|
        task   root GET    |-------------------|
        job    job  root     |-------------|
        run    run  job      |------|
        wait   w    root     |------|               waker=job
        wait   b    root            |------|        type=loop_busy
    """) == [(0, 2, "root"), (2, 9, "job"), (9, 20, "root")]  # fmt: skip


def test_work_of_another_request_counts_only_while_it_was_waited_for() -> None:
    assert passes("""
        server GET            |-----------|
        task   root GET       |-----------|
        wait   w    root         |----|             waker=other
        server POST      |------------|             trace=b
        task   other POST|------------|             trace=b
    """) == [(5, 8, "root"), (8, 13, "other"), (13, 17, "root")]  # fmt: skip


def test_a_background_task_that_nobody_spawned_counts_only_while_it_was_waited_for() -> None:
    assert passes("""
        server GET            |-----------|
        task   root GET       |-----------|
        wait   w    root         |----|             waker=old
        job    old            |-------|
    """) == [(0, 3, "root"), (3, 8, "old"), (8, 12, "root")]  # fmt: skip


def test_a_wait_for_the_loop_is_what_its_own_task_did_meanwhile_and_no_longer() -> None:
    """The task's own waits before that delayed nobody: the root was not ready before."""
    inner = {schema.BLOCKER_SPAN_ID: f"{4:016x}", schema.BLOCKER_NS: 9 * UNIT_NS}  # the fourth that is drawn
    picture = """
        server GET         |----------------|
        task   root GET    |----------------|
        wait   w    root       |--------|         type=loop_busy blocker=inner
        task   inner root   |-------------|
        wait   v    inner    |-|                  waker=timer
        block  b    inner      |--------|
    """
    assert passes(picture, more={"w": inner}) == [(0, 4, "root"), (4, 13, "inner"), (13, 17, "root")]


def test_a_wait_before_its_waker_was_born_stays_the_waiters() -> None:
    assert passes("""
        server GET            |-----------|
        task   root GET       |-----------|
        wait   w    root        |------|            waker=late
        job    late                |---|
    """) == [(0, 5, "root"), (5, 9, "late"), (9, 12, "root")]  # fmt: skip


def test_a_waker_that_was_over_leaves_the_gap_to_the_waiter() -> None:
    assert passes("""
        server GET            |-----------|
        task   root GET       |-----------|
        task   mid  root        |---|
        wait   w    root        |------|            waker=mid
    """) == [(0, 2, "root"), (2, 6, "mid"), (6, 12, "root")]  # fmt: skip


def test_those_who_wait_for_each_other_end_the_walk_with_a_finding() -> None:
    result = analysis.analyze(
        drawn("""
        server GET         |-----------|
        task   root GET    |-----------|
        task   peer root   |-----------|
        wait   w1   root     |------|              waker=peer
        wait   w2   peer     |------|              waker=root
    """)
    )
    assert result.causes["amount_ns"].sum() == 12 * UNIT_NS
    assert [finding.code for finding in result.findings] == ["circular-wait"]


def test_a_request_that_calls_its_own_service_is_two_requests() -> None:
    result = analysis.analyze(
        drawn("""
        server GET          |-------------|
        task   root  GET    |-------------|
        wait   w     root     |-------|          waker=io for=httpx.get
        server inner root      |----|
        task   root2 inner     |----|
    """)
    )
    assert len(result.requests) == 2
    inner = result.causes[result.causes["request_id"] == result.requests["request_id"].iloc[1]]
    assert inner["amount_ns"].sum() == 5 * UNIT_NS
    outer = result.causes[result.causes["request_id"] == result.requests["request_id"].iloc[0]]
    assert outer.loc[outer["cause"] == "await_io", "amount_ns"].sum() == 8 * UNIT_NS


def test_a_request_that_was_over_before_its_root_began_is_outside_all_of_it() -> None:
    # nothing lies before the first activity on the virtual time line: there is no edge to find
    assert passes("""
        server GET      |--|
        task   root GET       |-------|
        wait   w    root        |---|          waker=job
        job    job  root        |---|
    """) == [(0, 3, "")]  # fmt: skip
