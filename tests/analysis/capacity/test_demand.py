"""The demand of drawn requests on each resource."""

import pandas as pd
import pytest

from tests.analysis.drawing import UNIT_NS, drawn, trace_id
from whywait.analysis import analyze
from whywait.analysis.capacity.contention import in_batches
from whywait.analysis.capacity.demand import Resource, demand
from whywait.tracer import schema

TWO_BEHIND_A_LOCK = """
server GET                  |------------------------------|
task   root                 |------------------------------|       cpu=2
wait   w    root              |---------------------------|        type=await waker=job
job    job  root              |---------------------------|
wait   q    job               |------|                             type=pool_queue
run    run  job                      |--------------------|        cpu=5 rq=3
wait   lk   job                          |--------|                type=lock_wait
"""
POOL = {schema.POOL_NAME: "four", schema.POOL_SIZE: 4, schema.POOL_ID: 1}
MORE = {
    "job": POOL,
    "q": POOL,
    "lk": {schema.LOCK_KIND: "Lock", schema.LOCK_FILE: "db.py", schema.LOCK_LINE: 7},
    "run": {schema.GIL_NS: 4 * UNIT_NS},
    "root": {schema.RUN_NS: 3 * UNIT_NS, schema.CPU_NS: 2 * UNIT_NS},
}


def of(table: pd.DataFrame, resource: Resource) -> "pd.Series[float]":
    row = table[table["resource"] == resource]
    assert len(row) == 1, row
    numbers: pd.Series[float] = row.iloc[0][["held_ns", "demand_ns", "wait_ns"]] / UNIT_NS
    return numbers


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return demand(analyze(drawn(TWO_BEHIND_A_LOCK, MORE)))


def test_a_pools_demand_is_what_its_worker_did_itself(table: pd.DataFrame) -> None:
    # 21 ms on the worker, of which 4 waited for the GIL, 3 for a CPU, and 9 for the lock
    held, demanded, waited = of(table, Resource.POOL)
    assert (held, demanded, waited) == (21, 21 - 4 - 3 - 9, 7)


def test_the_gil_and_the_cpu_are_needed_by_loop_and_worker(table: pd.DataFrame) -> None:
    assert tuple(of(table, Resource.GIL)) == (7, 7, 4)
    assert tuple(of(table, Resource.CPU)) == (7, 7, 3)
    assert tuple(of(table, Resource.LOOP)) == (3, 3, 0)


def test_a_hold_of_a_lock_takes_the_time_between_two_waits_that_end() -> None:
    # three wait for one lock, each for one hold of 4 ms more: 12 ms contended, three holds; who had it first never waited
    picture = "".join(
        f"""
server GET{n}          |------------------|               trace={n}
task   root{n} GET{n}   |------------------|               trace={n}
wait   lk{n} root{n}    |{"-" * (4 * number - 1)}|         type=lock_wait trace={n}
"""
        for number, n in enumerate("abc", start=1)
    )
    picture += """
server GETd          |------------------|               trace=d
task   rootd GETd    |------------------|               trace=d
"""
    lock = {schema.LOCK_KIND: "Lock", schema.LOCK_FILE: "db.py", schema.LOCK_LINE: 7}
    first = {schema.BLOCKER_FUNCTION: "first", schema.BLOCKER_TRACE_ID: trace_id("d"), schema.BLOCKER_NS: 4 * UNIT_NS}
    more = {f"lk{n}": lock for n in "abc"}
    found = demand(analyze(drawn(picture, more | {"lka": lock | first})))
    holds = found[found["resource"] == Resource.LOCK]
    assert len(holds) == 4
    assert set(holds["demand_ns"] / UNIT_NS) == {4}
    assert sorted(holds["wait_ns"] / UNIT_NS) == [0, 4, 8, 12]


@pytest.mark.parametrize("number_of_b", [5, 6])
def test_a_loops_lock_has_one_name_on_all_lines_that_wait_for_it(number_of_b: int) -> None:
    """By its number; without one (c), or with another one, a line's wait is called by the line."""
    picture = "".join(
        f"""
server GET{n}          |------------------|               trace={n}
task   root{n} GET{n}   |------------------|               trace={n}
wait   lk{n} root{n}    |{"-" * length}|         type=await trace={n}
"""
        for n, length in (("a", 3), ("b", 7), ("c", 11))
    )
    wait = {schema.FOR: "Lock.acquire", schema.FOR_MODULE: "asyncio.locks", schema.CODE_FILE: "db.py"}
    lines = {"lka": {schema.LOCK_ID: 5, schema.CODE_LINE: 1}, "lkb": {schema.LOCK_ID: number_of_b, schema.CODE_LINE: 2}}
    lines["lkc"] = {schema.CODE_LINE: 3}
    found = demand(analyze(drawn(picture, {name: wait | more for name, more in lines.items()})))
    locks = found[found["resource"] == Resource.LOCK]
    of_a = 2 if number_of_b == 5 else 1
    assert sorted(locks["name"]) == sorted(f"Lock.acquire (db.py:{line})" for line in (of_a, 2, 3))


NATIVE = """
server GETa       |--------------------|      trace=a
task   ta         |--------------------|      trace=a
job    ja ta      |-------------------|       trace=a
run    ra ja      |-------------------|       trace=a
server GETb       {later}|--------------------|      trace=b
task   tb         {later}|--------------------|      trace=b
job    jb tb      {later}|-------------------|       trace=b
run    rb jb      {later}|-------------------|       trace=b
"""


@pytest.mark.parametrize(
    ("cpu_ms", "gil_ms", "later", "needed_ms"),
    [
        (19, 0, 0, 0),
        (9, 9, 0, 18),
        (19, 0, 6, 0),  # with the GIL 38 ms of computing do not pass in 26
        (9, 0, 16, 18),
    ],
)
def test_jobs_that_compute_at_once_and_never_wait_for_the_gil_do_not_need_it(
    cpu_ms: int, gil_ms: int, later: int, needed_ms: int
) -> None:
    run = {schema.GIL_NS: gil_ms * UNIT_NS, schema.CPU_NS: cpu_ms * UNIT_NS, schema.CODE_FUNCTION: "hash"}
    found = demand(analyze(drawn(NATIVE.format(later=" " * later), {"ra": run, "rb": run})))
    gil = found[found["resource"] == Resource.GIL]
    assert gil["demand_ns"].sum() / UNIT_NS == pytest.approx(needed_ms, abs=0.01)


@pytest.mark.parametrize(("task", "is_batch"), [("thread model", True), ("worker", False)])
def test_a_thread_ends_the_waits_of_a_batch_one_after_the_other(task: str, *, is_batch: bool) -> None:
    ends = [10_000_000, 10_200_000, 30_000_000, 30_300_000]
    waits = pd.DataFrame({"task": [task] * 4, "end_ns": ends})
    assert in_batches(waits, ["task"]).all() == is_batch


def test_what_a_thread_computes_for_a_request_is_its_last_turn() -> None:
    turn = {schema.FOR_TASK: "thread model", schema.FOR_TURNS: 2}
    spans = drawn(
        """
        server GET         |----------|
        task   root GET    |----------|          cpu=1
        wait   a    root   |----|                waker=thread cpu=4
        wait   b    root        |----|           waker=thread cpu=3
        """,
        {"a": turn, "b": turn},
    )
    table = demand(analyze(spans))
    assert table.loc[table["resource"] == Resource.CPU, "held_ns"].sum() == 4 * UNIT_NS
