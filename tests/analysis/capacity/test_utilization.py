"""What limits a process, and that its numbers agree with one another."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.analysis.drawing import UNIT_NS, drawn
from whywait.analysis import analyze
from whywait.analysis.capacity.demand import Resource
from whywait.analysis.capacity.utilization import ProcessCapacity, capacity, over_time
from whywait.analysis.capacity.window import most_at_once
from whywait.analysis.model import Analysis
from whywait.analysis.report.told import told_of
from whywait.analysis.verdicts.capacity_words import sentence
from whywait.tracer import schema

MS = UNIT_NS
REQUESTS, WALL_MS = 40, 80


def run(
    job_ms: int, gap_ms: int, *, cpu_ms: int, gil_ms: int, queued_ms: int, clients: int, size: int = 4, run_queue_ms: int = 0,
    held_by: int = 99,
) -> Analysis:  # fmt: skip
    """Requests of one job each, `gap_ms` after one another."""
    one = drawn(f"""
server GET       |{"-" * (WALL_MS - 1)}|
task   root      |{"-" * (WALL_MS - 1)}|
wait   w    root |{"-" * (WALL_MS - 1)}|  type=await waker=job
job    job  root |{"-" * (WALL_MS - 1)}|
wait   q    job  |{"-" * (queued_ms - 1)}|  type=pool_queue
run    run  job  {" " * queued_ms}|{"-" * (job_ms - 1)}|
""", {
        "root": {schema.RUN_NS: MS, schema.CPU_NS: MS},
        "job": {schema.POOL_NAME: "four", schema.POOL_SIZE: size, schema.POOL_ID: 1},
        "q": {
            schema.OCCUPANT_NAMES: ["outer"], schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7],
            schema.OCCUPANT_NS: [MS], schema.OCCUPANT_TRACE_IDS: [f"{1:032x}"], schema.OCCUPANT_SPAN_IDS: [f"{held_by:016x}"],
        },
        "run": {
            schema.CPU_NS: cpu_ms * MS, schema.GIL_NS: gil_ms * MS, schema.CPU_COUNT: 8,
            schema.RUN_QUEUE_NS: run_queue_ms * MS,
        },
    })  # fmt: skip
    assert clients == round(WALL_MS / gap_ms)
    return analyze(repeated(one, gap_ms))


def repeated(one: pd.DataFrame, gap_ms: int) -> pd.DataFrame:
    """Return the spans of as many such requests, `gap_ms` after one another."""
    copies = []
    for number in range(REQUESTS):
        shift = number * gap_ms * MS
        copies.append(
            one.assign(trace_id=f"{number + 1:032x}", start_ns=one["start_ns"] + shift, end_ns=one["end_ns"] + shift)
        )
    return pd.concat(copies, ignore_index=True)


RUNS: Mapping[str, tuple[Mapping[str, Any], Resource | None, float, tuple[str, ...], tuple[str, ...]]] = {
    # each job needs the GIL for 18 ms, and the loop 1: 53/s; its workers wait for it, and more of them cannot help
    "gil": (
        {"job_ms": 60, "gap_ms": 20, "cpu_ms": 18, "gil_ms": 42, "queued_ms": 20, "clients": 4}, Resource.GIL, 1000 / 19,
        ("The GIL is the limit", "19.0 ms", "53/s", "More threads or a larger pool cannot help", "of its 8 CPUs"), (),
    ),
    # most wait for a worker; the workers wait for the GIL, which each job needs for 9 ms, and the loop for 1
    "gil behind a queue": (
        {"job_ms": 16, "gap_ms": 12, "cpu_ms": 9, "gil_ms": 7, "queued_ms": 64, "clients": 7}, Resource.GIL, 1000 / 10,
        ("The GIL is the limit", "10.0 ms", "100/s", "More threads or a larger pool cannot help"), ("Nothing",),
    ),
    # work of no request has the pool's workers
    "pool of others": (
        {"job_ms": 4, "gap_ms": 80, "cpu_ms": 2, "gil_ms": 0, "queued_ms": 60, "clients": 1, "size": 1}, None, 0.0,
        ("There is a queue for the pool four, of which requests themselves use only 5%",), ("Nothing",),
    ),
    # each job sleeps 60 ms in a pool of 4: 67/s
    "pool": (
        {"job_ms": 60, "gap_ms": 16, "cpu_ms": 0, "gil_ms": 0, "queued_ms": 20, "clients": 5}, Resource.POOL, 1000 / 15,
        ("The pool four is the limit", "60.0 ms", "its 4 can serve 67/s", "larger pool can help"), ("cannot",),
    ),
    # others use the CPUs, and a request waits little for one: less than a tenth of its time
    "a little of a CPU": (
        {"job_ms": 60, "gap_ms": 80, "cpu_ms": 2, "gil_ms": 0, "queued_ms": 1, "clients": 1, "size": 8, "run_queue_ms": 3},
        None, 0.0, ("Nothing is near its limit",), ("is the limit",),
    ),
    "nothing": (
        {"job_ms": 60, "gap_ms": 80, "cpu_ms": 2, "gil_ms": 0, "queued_ms": 1, "clients": 1, "size": 8}, None, 0.0,
        ("Nothing is near its limit",), ("is the limit",),
    ),
    # others make it wait for a CPU for half of what it computes, which is little of what it takes
    "nothing, on a busy machine": (
        {"job_ms": 60, "gap_ms": 80, "cpu_ms": 3, "gil_ms": 0, "queued_ms": 1, "clients": 1, "size": 8, "run_queue_ms": 2},
        None, 0.0, ("Nothing is near its limit",), ("is the limit",),
    ),
    # short ones, far apart: half of each is such a wait, and nearly always nobody waits
    "short requests on a busy machine": (
        {"job_ms": 4, "gap_ms": 60, "cpu_ms": 1, "gil_ms": 0, "queued_ms": 1, "clients": 1, "size": 8, "run_queue_ms": 2},
        None, 0.0, ("Nothing is near its limit",), ("is the limit",),
    ),
}  # fmt: skip


@pytest.fixture(params=RUNS, scope="module")
def told(request: pytest.FixtureRequest) -> tuple[str, Analysis, ProcessCapacity]:
    found = run(**RUNS[request.param][0])
    (one,) = capacity(found)
    return request.param, found, one


def test_the_limit_is_the_resource_that_is_used_up(told: tuple[str, Analysis, ProcessCapacity]) -> None:
    name, _, one = told
    _, resource, possible, said, unsaid = RUNS[name]
    assert (one.limit and one.limit.resource) == resource
    if one.limit:
        assert one.limit.possible_per_s == pytest.approx(possible, rel=0.01)
        assert one.served_per_s <= one.limit.possible_per_s * 1.05
    for words in said:
        assert words in sentence(one)
    assert not any(words in sentence(one) for words in unsaid)


def test_a_queue_for_a_loop_that_lacks_a_cpu_now_and_then_is_none_for_a_cpu() -> None:
    one = drawn("""
server GET       |-----------------------------|
task   root      |-----------------------------|
wait   w    root |----------------------|  type=loop_busy
""", {"root": {schema.RUN_NS: 4 * MS, schema.CPU_NS: 4 * MS}, "w": {schema.RUN_QUEUE_NS: 2 * MS, schema.CPU_COUNT: 2}})  # fmt: skip
    (found,) = capacity(analyze(repeated(one, 20)))
    assert sentence(found).startswith("Nothing is near its limit")


@pytest.mark.parametrize(
    ("kind", "locks", "is_limit", "says"),
    [("Lock", 1, True, "held for"), ("Lock", 3, False, ""), ("Semaphore", 1, True, "it lets one go on each")],
)
def test_one_lock_of_several_with_a_name_is_no_limit_of_all(
    kind: str, locks: int, says: str, *, is_limit: bool
) -> None:
    """As a lock for each user. A semaphore is held by several at once, for longer than until the next goes on."""
    at = {
        schema.FOR: f"{kind}.acquire",
        schema.FOR_MODULE: "asyncio.locks",
        schema.CODE_FILE: "/srv/a.py",
        schema.CODE_LINE: 3,
    }
    one = drawn("""
server GET       |-----------------------------|
task   root      |-----------------------------|
wait   w    root |----------------------|
""", {"w": at, "root": {schema.RUN_NS: 1 * MS, schema.CPU_NS: 1 * MS}})  # fmt: skip
    spans = repeated(one, 24)
    numbers = itertools.cycle(range(1, locks + 1))
    spans["attributes"] = [
        {**found, schema.LOCK_ID: next(numbers)} if schema.FOR in found else found for found in spans["attributes"]
    ]
    (found,) = capacity(analyze(spans))
    assert (found.limit is not None and found.limit.name.startswith(f"{kind}.acquire")) is is_limit
    assert says in sentence(found)


@pytest.mark.parametrize(("cpu_ms", "gil_ms"), [(3, 18), (9, 13)])
def test_who_waits_for_the_gil_of_no_request_is_not_limited_by_the_cpus(cpu_ms: int, gil_ms: int) -> None:
    """A thread has the GIL for most of their time: what they wait for a CPU is less."""
    one = drawn("""
server GET       |-----------------------------|
task   root      |-----------------------------|
wait   w    root |----------------------|  type=loop_busy
""", {"root": {schema.RUN_NS: 1 * MS, schema.CPU_NS: 1 * MS},
      "w": {schema.RUN_QUEUE_NS: cpu_ms * MS, schema.GIL_NS: gil_ms * MS, schema.CPU_COUNT: 2}})  # fmt: skip
    (found,) = capacity(analyze(repeated(one, 20)))
    assert found.limit is None or found.limit.resource is not Resource.CPU


def test_what_was_served_is_possible() -> None:
    """Where a hold is taken for longer than it was, as of five jobs at once in a pool of four."""
    (one,) = capacity(run(60, 13, cpu_ms=0, gil_ms=0, queued_ms=1, clients=6))
    assert one.most_used is not None
    assert one.most_used.possible_per_s == pytest.approx(one.served_per_s)
    assert "Nothing has a long queue: the pool four is used most, 100% of it, at 68/s; it allows 68/s." in sentence(one)


LIMIT_WORDS = {
    "Semaphore.acquire (app.py:7)": ("Semaphore.acquire (app.py:7) is the limit", "a higher limit (the number"),
    "anyio": ("Anyio is the limit", "total_tokens"),
    "Condition.wait (app.py:7)": ("Condition.wait (app.py:7) is the limit", "It is no lock", "several that give it"),
    "Queue.get (app.py:7)": ("Queue.get (app.py:7) is the limit", "It is no lock", "several that give it"),
    "Lock.acquire (app.py:7)": ("Lock.acquire (app.py:7) is the limit", "one for each object, can."),
}


@pytest.mark.parametrize("name", LIMIT_WORDS)
def test_a_higher_limit_is_advised_where_there_is_one(name: str) -> None:
    (one,) = capacity(run(**RUNS["pool"][0]))
    assert one.limit is not None
    limit = dataclasses.replace(one.limit, resource=Resource.LOCK, name=name)
    said = sentence(dataclasses.replace(one, limit=limit))
    assert all(words in said for words in LIMIT_WORDS[name])
    assert ("cannot" in said) == name.startswith("Lock")


@pytest.mark.parametrize("turns", [4, 1])
def test_a_task_that_takes_one_at_a_time_is_a_limit_and_a_batch_is_none(turns: int) -> None:
    """Each request waits for the turns of four, its own among them; of a batch for one that is all of these."""
    one = drawn("""
server GET       |---------------------------------------|
task   root      |---------------------------------------|   cpu=1
wait   w    root |---------------------------------------|   type=await waker=job
""", {"w": {schema.FOR_TASK: "engine"} | ({schema.FOR_TURNS: turns} if turns > 1 else {})}, unit_ns=4 * MS)  # fmt: skip
    shifts = [40 * number * MS for number in range(REQUESTS)]
    copies = [
        one.assign(trace_id=f"{at + 1:032x}", start_ns=one["start_ns"] + shift, end_ns=one["end_ns"] + shift)
        for at, shift in enumerate(shifts)
    ]
    (found,) = capacity(analyze(pd.concat(copies, ignore_index=True)))
    if turns == 1:
        assert found.limit is None
        return
    assert found.limit is not None
    assert (found.limit.resource, found.limit.name) == (Resource.TASK, "engine")
    assert found.limit.possible_per_s == pytest.approx(1000 / 40, rel=0.1)
    assert found.limit.wait_ns == pytest.approx(120 * MS, rel=0.1)
    said = sentence(found)
    assert "The task engine is the limit: it takes " in said
    assert said.endswith("several of it, a batch, or less work for each can.")


def test_work_of_no_request_uses_the_loop_and_a_cpu_too() -> None:
    found = run(**RUNS["nothing"][0])
    block = drawn(f"""
block  poll   {" " * 20}|{"-" * 47}|
""")
    block["attributes"] = [one | {schema.CPU_NS: 24 * MS} for one in block["attributes"]]
    shifts = range(0, REQUESTS * 80 * MS, 80 * MS)
    blocks = [
        block.assign(trace_id=f"{at + 900:032x}", start_ns=block["start_ns"] + shift, end_ns=block["end_ns"] + shift)
        for at, shift in enumerate(shifts)
    ]
    (alone,), (beside,) = (capacity(analyze(pd.concat([found.spans, *more]))) for more in ([], blocks))
    cpus = next(one for one in beside.uses if one.resource is Resource.CPU)
    assert cpus.others * cpus.servers == pytest.approx(24 / 80, rel=0.02)
    loop, held = (next(one for one in of.uses if one.resource is Resource.LOOP) for of in (alone, beside))
    assert loop.others == 0
    assert held.others == pytest.approx(48 / 80, rel=0.02)  # of each 80 ms
    assert held.utilization == pytest.approx(loop.utilization + held.others)
    assert held.possible_per_s == pytest.approx((1 - held.others) * loop.possible_per_s)
    assert "the event loop is used most, 61% of it (60% by work of no request)" in sentence(beside)


def test_littles_law_holds_between_what_is_counted_and_what_is_timed(
    told: tuple[str, Analysis, ProcessCapacity],
) -> None:
    # requests in the system are counted over time; rate and time in the system come from the requests
    _, found, one = told
    assert one.in_system == pytest.approx(one.served_per_s * one.mean_wall_ns / 1e9, rel=1e-6)
    slices = over_time(found, 8)
    gil = slices[slices["resource"] == Resource.GIL]
    assert (gil["in_system"] * (gil["end_ns"] - gil["start_ns"])).sum() == pytest.approx(
        found.requests["wall_ns"].sum(), rel=1e-6
    )
    assert (gil["served_per_s"] * (gil["end_ns"] - gil["start_ns"])).sum() / 1e9 == pytest.approx(REQUESTS)
    use = next(each for each in one.uses if each.resource is Resource.GIL)
    assert float(np.average(gil["utilization"])) == pytest.approx(use.utilization, rel=0.01)


def test_a_few_requests_tell_no_rate() -> None:
    found = run(**RUNS["gil"][0])
    few = found.requests.head(5)
    (one,) = capacity(
        Analysis(few, found.causes[found.causes["request_id"].isin(few["request_id"])], found.culprits, found.spans)
    )
    assert sentence(one) == ""


def test_processes_are_told_apart() -> None:
    found = run(**RUNS["gil"][0])
    each = zip(found.spans["trace_id"], found.spans["attributes"], strict=True)
    found.spans["attributes"] = [{**one, "process.pid": 8 - int(trace_id, 16) % 2} for trace_id, one in each]
    assert sorted((one.process, one.requests) for one in capacity(found)) == [("shop 7", 20.0), ("shop 8", 20.0)]


@pytest.mark.parametrize(("held_by", "stuck"), [(2, True), (99, False)], ids=["the job's own request", "another"])
def test_what_is_full_since_requests_are_stuck_is_no_limit(held_by: int, *, stuck: bool) -> None:
    """Jobs that wait for jobs of their own pool: a larger one would only be full later."""
    (process,) = told_of(run(**RUNS["pool"][0], held_by=held_by)).processes
    assert process.stuck is stuck
    assert (sentence(process) == "") is stuck


def test_how_many_go_on_at_once_for_a_tenth_of_the_time() -> None:
    for bars, most in (([(0, 10), (10, 20)], 1), ([(0, 10), (5, 20)], 2), ([(0, 100), (1, 6)], 1), ([(0, 0)], 1)):
        start, end = (pd.Series([one[at] for one in bars]) for at in (0, 1))
        assert most_at_once(start, end) == most
