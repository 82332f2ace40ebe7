"""A thread's waits inside its work: cause, culprit, evidence, and a lock that many are in line for."""

from typing import Any

import pandas as pd
import pytest

from tests.analysis.drawing import UNIT_NS, drawn, trace_id
from whywait import analysis
from whywait.tracer import schema

LOCKED = """
    server GET        |------------------------------|
    task   root GET   |------------------------------|   cpu=3
    wait   w    root  |---------------------------|      type=await waker=job
    job    job  root  |---------------------------|
    run    run  job    |--------------------------|      cpu=6
    wait   l    job      |------------------|            type={}
"""
LOCK = {
    schema.FOR: "threading.Lock", schema.LOCK_KIND: "Lock", schema.LOCK_FILE: "bank.py", schema.LOCK_LINE: 8,
    schema.LOCK_FUNCTION: "Bank.__init__", schema.LOCK_WAITERS: 1, schema.LOCK_HOLDS: 1,
}  # fmt: skip
HOLDER = {
    schema.BLOCKER_FUNCTION: "audit", schema.BLOCKER_FILE: "audit.py", schema.BLOCKER_LINE: 30,
    schema.BLOCKER_TRACE_ID: trace_id("c"), schema.BLOCKER_SPAN_ID: "9" * 16, schema.BLOCKER_NS: 15 * UNIT_NS,
}  # fmt: skip


def told(kind: str, attributes: dict[str, Any]) -> pd.Series:
    causes = analysis.analyze(drawn(LOCKED.format(kind), {"l": attributes})).causes
    (index,) = causes.index[causes["cause"] == kind]
    return causes.loc[index]


def test_a_lock_and_who_held_it_longest() -> None:
    row = told("lock_wait", {**LOCK, **HOLDER})
    assert row["amount_ns"] == 19 * UNIT_NS
    assert row["detail"] == "Lock made at bank.py:8 (Bank.__init__)"
    assert (row["culprit"], row["culprit_file"], row["culprit_line"]) == ("audit", "audit.py", 30)
    assert (row["culprit_trace_id"], row["culprit_ns"]) == (trace_id("c"), 15 * UNIT_NS)
    assert row["evidence"] == "observed"


def test_a_lock_whose_holder_nobody_saw_is_named_itself() -> None:
    row = told("lock_wait", LOCK)
    assert (row["culprit"], row["culprit_file"], row["culprit_line"]) == ("Lock", "bank.py", 8)


def test_a_call_that_blocked_is_named_by_its_place_and_may_be_inferred() -> None:
    call = {
        schema.FOR: "socket.recv", schema.CODE_FUNCTION: "fetch", schema.CODE_FILE: "db.py", schema.CODE_LINE: 4,
        schema.EVIDENCE: schema.EVIDENCE_INFERRED,
    }  # fmt: skip
    row = told("blocking_io", call)
    assert row["detail"] == "in socket.recv in fetch (db.py:4)"
    assert (row["culprit"], row["culprit_file"], row["culprit_line"]) == ("fetch", "db.py", 4)
    assert row["evidence"] == "inferred"


def test_a_handler_and_who_held_its_lock() -> None:
    alone = told("logging_wait", {schema.HANDLER: "FileHandler 'audit'"})
    assert (alone["detail"], alone["culprit"]) == ("logging handler FileHandler 'audit'", "FileHandler 'audit'")
    behind = told("logging_wait", {schema.HANDLER: "FileHandler", **LOCK, **HOLDER})
    assert (behind["detail"], behind["culprit"]) == ("logging handler FileHandler", "audit")


@pytest.mark.parametrize("where", ["job", "root"])
def test_what_a_handlers_stretch_was_blocked_is_its_own(where: str) -> None:
    picture = """
        server GET        |--------------------|
        task   root GET   |--------------------|   cpu={}
        {}
        phase  log  {}       |----------|        cpu=4
    """
    lines = """wait   w    root  |----------------|       type=await waker=job
        job    job  root  |----------------|
        run    run  job   |----------------|       cpu=10"""
    drawing = picture.format(*((4, lines, "job ") if where == "job" else (13, "", "root")))
    causes = analysis.analyze(drawn(drawing, {"log": {schema.HANDLER: "FileHandler"}})).causes
    (index,) = causes.index[causes["cause"] == "logging_wait"]
    row = causes.loc[index]
    assert row["amount_ns"] == 7 * UNIT_NS
    assert (row["culprit"], row["evidence"]) == ("FileHandler", "inferred")


@pytest.mark.parametrize(("waiters", "holds", "said"), [(1, 1, False), (2, 2, False), (5, 1, True), (1, 4, True)])
def test_a_convoy_is_told(waiters: int, holds: int, said: bool) -> None:
    many = {**LOCK, **HOLDER, schema.LOCK_WAITERS: waiters, schema.LOCK_HOLDS: holds}
    result = analysis.analyze(drawn(LOCKED.format("lock_wait"), {"l": many}))
    (verdict,) = analysis.verdict(result)
    assert "blocked by audit (audit.py:30)" in verdict.text
    assert ("A lock convoy" in verdict.text) is said
    if said:
        assert f"up to {waiters} thread" in verdict.text
        assert "Lock made at bank.py:8 (Bank.__init__)" in verdict.text


def test_an_unresolved_signal_is_still_a_wait_for_it() -> None:
    waits = {
        "threading.Event.wait": "lock_wait", "queue.Queue.get": "blocking_io", "asyncio.locks.Lock.acquire": "limiter_wait",
    }  # fmt: skip
    for what, cause in waits.items():
        causes = analysis.analyze(drawn(LOCKED.format("await"), {"l": {schema.FOR: what}})).causes
        assert causes.loc[causes["cause"] == cause, "amount_ns"].sum() == 19 * UNIT_NS, what


@pytest.mark.parametrize(("timed", "cause"), [("|----------|   ", "unexplained"), ("|--|           ", "blocking_io")])
def test_a_sleep_that_was_timed_does_not_claim_the_rest_of_its_step(timed: str, cause: str) -> None:
    picture = f"""
        server GET        |--------------------|
        task   root GET   |--------------------|   cpu=4
        block  on   root     |--------------|      cpu=2
        wait   nap  root       {timed}      type=blocking_io
    """
    step = {schema.BLOCK_SYSCALL: "clock_nanosleep"}
    causes = analysis.analyze(drawn(picture, {"on": step, "nap": {schema.FOR: "time.sleep"}})).causes
    asleep = causes[causes["detail"].str.startswith("in clock_nanosleep")]
    assert asleep.empty is (cause == "unexplained")
    assert not causes[causes["cause"] == cause].empty


@pytest.mark.parametrize(
    ("what", "key"),
    [
        ("threading.Event.wait", "lock_wait/signal"),
        ("queue.Queue.get", "lock_wait/signal"),
        ("threading.Lock", "lock_wait"),
    ],
)
def test_what_another_request_gives_is_no_lock_that_it_holds(what: str, key: str) -> None:
    given = {**LOCK, **HOLDER, schema.FOR: what, schema.LOCK_KIND: what}
    (verdict,) = analysis.verdict(analysis.analyze(drawn(LOCKED.format("lock_wait"), {"l": given})))
    assert verdict.judgement.reasons[0].remedy.key == key
    assert verdict.remedy.startswith("No lock is held: audit (audit.py:30) gives") is (key == "lock_wait/signal")


ALONE = """
    server GET        |-------------------|
    task   root GET   |-------------------|     cpu=0
    block  b    root            |---------|     cpu=0
"""
INNER = """
    server GET        |-------------------|
    task   root GET   |-------------------|     cpu=0
    wait   w    root            |---------|     waker=own
    task   own  root            |---------|     cpu=0
    block  b    own             |---------|     cpu=0
"""


@pytest.mark.parametrize(("picture", "culprit"), [(ALONE, "GET"), (INNER, "keep")])
def test_a_stretch_on_the_loop_without_a_function_blocks_in_its_tasks(picture: str, culprit: str) -> None:
    code = {schema.CODE_FUNCTION: "run_asgi", schema.CODE_FILE: "/lib/site-packages/uvicorn/x.py", schema.ROOT: True}
    task = {schema.CODE_FUNCTION: "keep", schema.CODE_FILE: "/srv/app.py"}
    asleep = {schema.CALL_NS: 9 * UNIT_NS, schema.CALL: "fsync", schema.SAMPLES: 9}
    spans = drawn(picture, {"b": asleep, "root": code} | ({"own": task} if picture is INNER else {}))
    spans.loc[spans["name"] == "b", "name"] = "ran on the loop"
    found = analysis.analyze(spans).culprits
    assert set(found.loc[found["cause"] == "blocking_io", "culprit"]) == {culprit}
