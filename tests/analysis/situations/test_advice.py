"""From drawn traces to the situation and its remedy; beside each case its neighbour that is no such case."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.analysis.drawing import drawn, trace_id
from tests.analysis.fabricate import Culprit, analysis_of
from whywait.analysis.causes import INFO, Cause
from whywait.analysis.pipeline import analyze
from whywait.analysis.situations.situation import Pattern, Situation
from whywait.analysis.situations.what_helps import FASTER, KEPT, NATIVE, Table, faster, in_thread, instead_of, look_up
from whywait.analysis.verdicts.judgement import judge
from whywait.analysis.verdicts.remedies import remedy
from whywait.analysis.verdicts.sentences import Verdict, verdict, worded
from whywait.tracer import schema

MS = 1_000_000
More = Mapping[str, Mapping[str, Any]]


def told(picture: str, more: More | None = None, endpoint: str = "GET") -> Verdict:
    """Return the verdict on one endpoint of a drawing; its server span is called as the endpoint."""
    (one,) = (one for one in verdict(analyze(drawn(picture, more))) if one.endpoint == endpoint)
    json.dumps([dict(found.numbers) for found in one.judgement.situations])  # as `--json` does
    return one


def key(one: Verdict, cause: Cause) -> str:
    """Return the key of the remedy for a cause, "" where that is no reason."""
    return next((reason.remedy.key for reason in one.judgement.reasons if reason.cause is cause), "")


def kinds(one: Verdict) -> list[Situation]:
    return [found.kind for found in one.judgement.situations]


# --- what those ahead do meanwhile ----------------------------------------------------------------
QUEUED = """
    server GET        |-------------------|
    task   root       |-------------------|
    wait   w   root   |------------------|       type=await waker=mine
    job    mine root  |------------------|
    wait   q   mine   |----------|               type={wait}
    run    run mine              |-------|       cpu=7
    server OTHER     |------------|              trace=b
    task   root2     |------------|              trace=b
    wait   w2  root2 |------------|              trace=b type=await waker=theirs
    job    theirs root2 |---------|              trace=b
    run    run2 theirs  |---------|              trace=b {held}
"""
WAITING = "cpu=0\n    wait held theirs |---------| trace=b type=blocking_io for=time.sleep"
OCCUPIED: Mapping[str, Any] = {
    schema.POOL_NAME: "default executor", schema.OCCUPANT_NAMES: ["theirs"], schema.OCCUPANT_NS: [11 * MS],
    schema.OCCUPANT_TRACE_IDS: [trace_id("b")], schema.OCCUPANT_SPAN_IDS: [f"{10:016x}"],
}  # fmt: skip
BLOCKED: Mapping[str, Any] = {
    schema.BLOCKER_FUNCTION: "theirs", schema.BLOCKER_TRACE_ID: trace_id("b"), schema.BLOCKER_SPAN_ID: f"{10:016x}",
    schema.BLOCKER_NS: 11 * MS,
}  # fmt: skip


def queued(wait: str, held: str, of: Mapping[str, Any], holder: Mapping[str, Any] | None = None) -> Verdict:
    return told(QUEUED.format(wait=wait, held=held), {"q": of, "run2": holder or {}})


@pytest.mark.parametrize(
    ("held", "holder", "situation", "words"),
    [
        (WAITING, {}, Situation.HOLDERS_WAIT, "loop.set_default_executor"),
        ("cpu=9", {}, Situation.HOLDERS_COMPUTE, "move it to processes"),
        ("cpu=1", {schema.GIL_NS: 8 * MS, schema.SAMPLES: 9}, Situation.HOLDERS_NEED_GIL, "The GIL is the bottleneck"),
        ("cpu=5", {schema.GIL_NS: 4 * MS, schema.SAMPLES: 9}, Situation.HOLDERS_NEED_GIL, "Run less Python at once"),
        ("cpu=1 rq=8", {}, Situation.HOLDERS_NEED_CPU, "more workers do not help"),
        (WAITING.replace("blocking_io", "gc_pause"), {}, Situation.HOLDERS_COLLECT, "call gc.collect() in no request"),
    ],
    ids=["sleep", "compute", "wait for the GIL", "compute Python in turns", "wait for a CPU", "collect garbage"],
)
def test_a_pool_s_queue_by_what_its_workers_do(
    held: str, holder: Mapping[str, Any], situation: Situation, words: str
) -> None:
    found = queued(schema.WAIT_POOL_QUEUE, held, OCCUPIED, holder)
    assert key(found, Cause.POOL_QUEUE) == f"pool_queue/{situation}"
    assert words in found.remedy


DRAINS = "await waker=io for=uvicorn.protocols.http.flow_control.FlowControl.drain"


def test_who_keeps_a_place_while_a_slow_client_reads_gives_it_back_before() -> None:
    found = queued(schema.WAIT_POOL_QUEUE, WAITING.replace("blocking_io for=time.sleep", DRAINS), OCCUPIED)
    assert key(found, Cause.POOL_QUEUE) == f"pool_queue/{Situation.HOLDERS_WAIT}"
    assert found.remedy.endswith("before the answer is sent, so that a slow client keeps nothing.")


@pytest.mark.parametrize(
    ("generation", "situation", "words"),
    [
        (f"{schema.FOR_ASKED_COLLECTION}generation 2", "/asked_to_collect", "gc.collect() while requests run (tidy (srv/app.py:7))"),
        ("generation 2", "", "Create fewer objects"),
    ],
    ids=["asked for", "by itself"],
)  # fmt: skip
def test_a_collection_that_was_asked_for_and_one_that_came_by_itself(
    generation: str, situation: str, words: str
) -> None:
    place = {schema.CODE_FUNCTION: "tidy", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 7}
    picture = """
        server GET       |--------------|
        task   root GET  |--------------|   cpu=5
        wait   w    root   |---------|      type=gc_pause
    """
    found = told(picture, {"w": {schema.FOR: generation, schema.FOR_MODULE: "gc", **place}})
    assert key(found, Cause.GC_PAUSE) == f"gc_pause{situation}"
    assert words in found.remedy


def test_whose_work_is_unknown_is_not_judged_by_it() -> None:
    unknown = {**OCCUPIED, schema.OCCUPANT_TRACE_IDS: [""], schema.OCCUPANT_SPAN_IDS: [""]}
    found = queued(schema.WAIT_POOL_QUEUE, WAITING, {**unknown, schema.OCCUPANT_NAMES: ["somebody"]})
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/few_jobs"
    assert "a limit of its own" not in found.remedy  # who it is may be a request's job that is not known
    # nor is what the user's work for no request did, but it has no place there
    users = {schema.OCCUPANT_NAMES: ["send"], schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7]}
    found = queued(schema.WAIT_POOL_QUEUE, WAITING, {**unknown, **users})
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/background_holds"
    assert "(send (srv/app.py:7)): give it a pool or a limit of its own" in found.remedy
    # but what is known of others of its name counts
    found = queued(schema.WAIT_POOL_QUEUE, WAITING, unknown)
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/holders_wait"


@pytest.mark.parametrize(
    ("pool", "limit"),
    [
        ({schema.POOL_NAME: "anyio"}, "total_tokens, which all `def` endpoints share"),
        ({schema.POOL_NAME: "t", schema.POOL_FILE: "/x/asgiref/sync.py"}, "thread_sensitive=False"),
        ({schema.POOL_NAME: "t", schema.POOL_FILE: "/srv/app.py", schema.POOL_LINE: 3}, "pool made at srv/app.py:3"),
        ({schema.POOL_NAME: "sqlalchemy QueuePool"}, "pool_size and max_overflow"),
        ({schema.POOL_NAME: "db", schema.FOR_MODULE: "asyncpg.pool"}, "max_size of asyncpg.create_pool"),
        ({schema.POOL_NAME: "x", schema.CODE_FILE: "/site-packages/httpcore/_async/pool.py"}, "httpx.Limits"),
    ],
)
def test_a_limit_is_called_by_its_own_name(pool: Mapping[str, Any], limit: str) -> None:
    found = queued(schema.WAIT_LIMITER, WAITING, {**OCCUPIED, **pool})
    assert limit in found.remedy
    assert ("`def` endpoints" in found.text) == (pool[schema.POOL_NAME] == "anyio")


@pytest.mark.parametrize("held", [WAITING, "cpu=9"], ids=["sleep", "compute"])
def test_pieces_that_share_the_one_thread_of_sync_to_async(held: str) -> None:
    sensitive = {schema.POOL_NAME: "ThreadPoolExecutor-4", schema.POOL_FILE: "/x/site-packages/asgiref/sync.py"}
    found = queued(schema.WAIT_POOL_QUEUE, held, {**OCCUPIED, **sensitive})
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/sensitive_thread"
    begun = queued(schema.WAIT_POOL_STARTUP, held, {**OCCUPIED, **sensitive})
    assert key(begun, Cause.POOL_STARTUP) == "pool_startup/sensitive_thread"
    assert "thread_sensitive=False" in found.remedy


STANDS = """
    server GET        |-----------|
    task   root       |-----------|              cpu=1
    wait   q   root   |----------|               type=loop_busy
    server OTHER     |------------|              trace=b
    task   root2     |------------|              trace=b cpu=1
    wait   held root2 |---------|                trace=b {held}
"""


def test_who_gives_what_threads_wait_for_is_told_by_what_it_does_for_that() -> None:
    asks = {
        schema.CODE_FUNCTION: "build",
        schema.CODE_FILE: "/srv/app.py",
        schema.CODE_LINE: 20,
        schema.FOR: "socket.recv",
    }
    by = {**BLOCKED, schema.BLOCKER_FILE: "/srv/app.py", schema.BLOCKER_SPAN_ID: f"{5:016x}"}
    waits = {**by, schema.FOR: "threading.Condition.wait", schema.LOCK_KIND: "Condition.wait"}
    found = told(STANDS.replace("loop_busy", "lock_wait").format(held="type=blocking_io"), {"q": waits, "held": asks})
    assert key(found, Cause.LOCK_WAIT) == "lock_wait/signal"
    assert found.remedy.startswith("No lock is held: build (srv/app.py:20) gives")


def test_a_connection_that_is_waited_for_on_the_loop_keeps_the_loop() -> None:
    holder = {schema.POOL_NAME: "sqlalchemy QueuePool", schema.POOL_SIZE: 2}
    more = {"q": {**BLOCKED, schema.BLOCKER_SPAN_ID: f"{5:016x}", schema.BLOCKER_NS: 11 * MS}, "held": holder}
    found = told(STANDS.format(held="type=connection_wait"), more)
    assert key(found, Cause.LOOP_BUSY) == "loop_busy/holders_wait"
    assert "waiting for a connection (sqlalchemy QueuePool, 2 connections)" in found.remedy
    assert "asynchronous driver" in found.remedy
    # what awaited it meanwhile kept nobody: it computed at other times
    computing = STANDS.replace(
        "cpu=1\n    wait   held root2 |---------| ", "cpu=12\n    wait   held root2 |--|        "
    )
    assert computing != STANDS
    found = told(computing.format(held="type=connection_wait"), more)
    assert key(found, Cause.LOOP_BUSY) == "loop_busy/holders_compute"


LET_GO_BESIDE = """
        server PUT         |--------------|   trace=c
        task   more PUT    |--------------|   trace=c cpu=5
        wait   v    more       |-------|      trace=c type=loop_busy
"""


@pytest.mark.parametrize("beside", ["", LET_GO_BESIDE], ids=["alone", "its loop is let go, too"])
def test_what_others_have_and_hand_on_has_no_name_but_their_number(beside: str) -> None:
    place = {schema.CODE_FUNCTION: "infer", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    more = {"own": place | {schema.FOR_CALL: "AsyncClient.get", schema.FOR_PACKAGE: "httpx"}}
    if beside:
        more["v"] = {**BLOCKED, schema.BLOCKER_SPAN_ID: f"{5:016x}", schema.BLOCKER_NS: 9 * MS}
    found = told(
        f"""
        server GET         |--------------|
        task   root GET    |--------------|   cpu=5
        wait   w    root     |---------|        waker=other
        server POST      |----------------|   trace=b
        task   other POST|----------------|   trace=b cpu=6
        wait   own  other    |----------|     trace=b waker=io
        {beside}
        """,
        more,
    )
    assert key(found, Cause.LIMITER_WAIT) == "limiter_wait/holders_wait"
    assert "Raise the limit (how many of what they take and give back there are)" in found.remedy


def test_what_one_has_until_all_others_go_on_is_a_lock() -> None:
    found = told(
        """
        server GET         |--------------|
        task   root GET    |--------------|   cpu=5
        wait   w    root     |---------|        waker=other
        server PUT         |--------------|   trace=c
        task   more PUT    |--------------|   trace=c cpu=5
        wait   v    more       |-------|        trace=c waker=other
        server POST      |----------------|   trace=b
        task   other POST|----------------|   trace=b cpu=6
        wait   own  other    |----------|     trace=b waker=timer for=sleep
        """
    )
    assert key(found, Cause.LIMITER_WAIT) == "limiter_wait/holders_wait"
    assert "Do not wait while the lock is held" in found.remedy


@pytest.mark.parametrize(("ran_ms", "is_little"), [(0.1, True), (7, False)])
def test_what_is_run_in_a_full_pool_may_need_no_thread(ran_ms: float, *, is_little: bool) -> None:
    spans = drawn(
        """
        server GET        |-------------------|
        task   root       |-------------------|
        wait   w   root   |----------|               type=limiter_wait
        job    mine root             |-------|
        run    run mine              |-------|       cpu=1
        server OTHER     |------------|              trace=b
        task   root2     |------------|              trace=b
        wait   w2  root2 |------------|              trace=b type=await waker=theirs
        job    theirs root2 |---------|              trace=b
        run    run2 theirs  |---------|              trace=b cpu=0
        wait   held theirs  |---------|              trace=b type=blocking_io for=time.sleep
        """,
        {
            "w": {**OCCUPIED, schema.OCCUPANT_SPAN_IDS: [f"{9:016x}"]},
            "mine": {schema.POOL_NAME: "default executor"},
            "run": {schema.CODE_FUNCTION: "locale"},
        },
    )
    is_run = spans["name"] == "run"
    spans.loc[is_run, "end_ns"] = spans.loc[is_run, "start_ns"] + round(ran_ms * MS)
    (found,) = (one for one in verdict(analyze(spans)) if one.endpoint == "GET")
    assert key(found, Cause.LIMITER_WAIT) == "limiter_wait/holders_wait"
    assert ("What these requests run there themselves (locale) takes 0.10 ms in all" in found.remedy) is is_little


@pytest.mark.parametrize(("endpoint", "said"), [("WS_/board", True), ("WS_/board_connect", False), ("GET", False)])
def test_messages_of_a_connection_wait_for_one_another(endpoint: str, *, said: bool) -> None:
    spans = drawn(
        """
        server asked    |--------------|
        task   root     |--------------|
        wait   w root   |------------|     waker=timer for=sleep
        """
    )
    spans["name"] = spans["name"].replace({"asked": endpoint.replace("_", " ")})
    (found,) = verdict(analyze(spans))
    assert ("one that comes meanwhile waits until this one is done" in found.text) is said


@pytest.mark.parametrize(("locks", "per_object"), [((1, 1), True), ((1, 2), False)])
def test_one_lock_per_object_is_no_advice_where_there_are_several(locks: tuple[int, int], *, per_object: bool) -> None:
    by = {**BLOCKED, schema.FOR: "Lock.acquire", schema.BLOCKER_SPAN_ID: f"{6:016x}"}
    found = told(
        """
        server GET        |-------------------|
        task   root       |-------------------|
        wait   q   root   |----------|               type=limiter_wait
        wait   r   root              |--|            type=limiter_wait
        server OTHER     |-----------------|         trace=b
        task   theirs    |-----------------|         trace=b
        wait   held theirs |-------------|           trace=b type=blocking_io for=time.sleep
        """,
        {"q": by | {schema.LOCK_ID: locks[0]}, "r": by | {schema.LOCK_ID: locks[1]}},
    )
    assert "Do not wait while the lock is held" in found.remedy
    assert ("one lock per object" in found.remedy) is per_object


def test_a_lock_of_asyncio_has_no_limit_to_raise() -> None:
    found = queued(schema.WAIT_LIMITER, WAITING, {**BLOCKED, schema.FOR: "Lock.acquire"})
    assert key(found, Cause.LIMITER_WAIT) == "limiter_wait/holders_wait"
    assert "Do not wait while the lock is held" in found.remedy
    assert "limit" not in found.remedy


@pytest.mark.parametrize(
    ("wait", "held", "wanted", "words"),
    [
        (schema.WAIT_LOCK, WAITING, "lock_wait/holders_wait", "Do not wait while the lock is held"),
        (
            schema.WAIT_LOCK,
            "cpu=9",
            "lock_wait/holders_compute",
            "Hold the lock for a shorter time: code computes under it.",
        ),
        (schema.WAIT_LOGGING, WAITING, "logging_wait/holders_wait", "one lock per object"),
        (schema.WAIT_CONNECTION, "cpu=9", "connection_wait/holders_compute", "give a connection back before that"),
        (schema.WAIT_CONNECTION, WAITING, "connection_wait/holders_wait", "if the server accepts more"),
    ],
)
def test_locks_and_connections_by_what_is_done_with_them(wait: str, held: str, wanted: str, words: str) -> None:
    found = queued(wait, held, OCCUPIED if wait == schema.WAIT_CONNECTION else BLOCKED)
    assert key(found, Cause(wanted.split("/")[0])) == wanted
    assert words in found.remedy


@pytest.mark.parametrize(
    ("kind", "words"),
    [("Lock", "Do not wait while the lock is held"),
     ("Semaphore.acquire", "Raise the limit (the number that the Semaphore is made with)")],
)  # fmt: skip
def test_a_semaphore_of_threads_is_a_limit(kind: str, words: str) -> None:
    found = queued(schema.WAIT_LOCK, WAITING, {**BLOCKED, schema.LOCK_KIND: kind})
    assert key(found, Cause.LOCK_WAIT) == "lock_wait/holders_wait"
    assert words in found.remedy


@pytest.mark.parametrize(("asleep", "known"), [(8, True), (1, False)], ids=["a queue", "a circle"])
def test_who_stood_in_the_queue_before_it_had_the_lock_is_told_by_what_it_did_then(asleep: int, known: bool) -> None:
    picture = f"""
        server GET         |--------------------|
        task   root        |--------------------|
        wait   q   root    |------------------|           type=lock_wait
        server OTHER      |----------------------|        trace=b
        task   theirs     |----------------------|        trace=b
        wait   before theirs |{"-" * (17 - asleep)}|{" " * (asleep + 7)} trace=b type=lock_wait
        wait   held theirs   {" " * (18 - asleep)}|{"-" * (asleep - 1)}|{" " * 7} trace=b type=blocking_io for=time.sleep
    """
    lock = {schema.LOCK_KIND: "Lock", schema.LOCK_FILE: "/srv/db.py", schema.LOCK_LINE: 8}
    by = {**BLOCKED, schema.BLOCKER_SPAN_ID: f"{5:016x}", schema.BLOCKER_NS: 9 * MS}
    found = told(picture, {"q": {**lock, **by}, "before": lock})
    (reason,) = (one for one in found.judgement.reasons if one.cause is Cause.LOCK_WAIT)
    unknown_ns = sum(part.ns for part in reason.meanwhile if part.cause is None)
    assert (unknown_ns < 0.1 * reason.mean_ns) == known
    assert ("Do not wait while the lock is held" in found.remedy) == known


BLOCKED_LOOP = """
    server GET          |---------------|
    task   root         |---------------|            cpu=3
    wait   b   root     |----------|                 type=loop_busy
    server OTHER       |------------|                trace=b
    task   theirs      |------------|                trace=b
    block  long theirs |------------|                trace=b cpu={cpu}
"""
BLOCKED_BY_LONG = {**BLOCKED, schema.BLOCKER_SPAN_ID: f"{5:016x}"}
BLOCKS = "    wait held theirs     |-----------|    trace=b type=blocking_io for="


@pytest.mark.parametrize(
    ("turns", "trace", "are_short"),
    [(8, "b", True), (2, "b", False), (8, "", False)],
    ids=["short", "long", "of no request"],
)
def test_who_waits_for_short_turns_of_others_is_not_told_to_move_one_of_them(
    turns: int, trace: str, *, are_short: bool
) -> None:
    others = {
        schema.BLOCKERS_NAMES: [f"step{one}" for one in range(turns)], schema.BLOCKERS_FILES: ["/srv/app.py"] * turns,
        schema.BLOCKERS_LINES: [*range(1, turns + 1)], schema.BLOCKERS_TRACE_IDS: [trace and trace_id(trace)] * turns,
        schema.BLOCKERS_SPAN_IDS: [f"{5:016x}"] * turns, schema.BLOCKERS_NS: [11 * MS // turns] * turns,
    }  # fmt: skip
    found = told(BLOCKED_LOOP.format(cpu=12), {"b": BLOCKED_BY_LONG | others})
    assert (key(found, Cause.LOOP_BUSY) == "loop_busy/loop_turns") is are_short
    assert ("each request waited for 8 short ones of other requests, 1.4 ms each" in found.text) is are_short
    assert ("more worker processes" in found.remedy) is are_short


@pytest.mark.parametrize(("times", "trace", "are_many"), [(40, "", True), (8, "", False), (40, "b", False)])
def test_tasks_of_no_request_that_take_short_turns_are_too_many_at_once(
    times: int, trace: str, *, are_many: bool
) -> None:
    blocked = {**BLOCKED_BY_LONG, schema.BLOCKER_TRACE_ID: trace and trace_id(trace), schema.BLOCKER_COUNT: times}
    at = {schema.BLOCKER_FUNCTION: "enrich", schema.BLOCKER_FILE: "/srv/app.py", schema.BLOCKER_LINE: 9}
    found = told(BLOCKED_LOOP.format(cpu=12), {"b": blocked | at})
    said = "each request waited for 40 short ones of tasks of no request (enrich (srv/app.py:9)), 0.28 ms each"
    assert (said in found.text) is are_many
    assert ("let few run at once" in found.remedy) is are_many


def blocked(awaited: str) -> Verdict:
    picture = BLOCKED_LOOP.format(cpu=0 if awaited else 12) + (BLOCKS + awaited if awaited else "")
    return told(picture, {"b": BLOCKED_BY_LONG})


@pytest.mark.parametrize(
    ("awaited", "wanted", "words"),
    [
        ("", Situation.HOLDERS_COMPUTE, "Move it off the event loop: to a process pool"),
        ("time.sleep", Situation.HOLDERS_WAIT, "await asyncio.sleep(...)"),
        ("socket.recv_into", Situation.HOLDERS_WAIT, "use an asynchronous client"),
        ("subprocess.communicate", Situation.HOLDERS_WAIT, "asyncio.create_subprocess_exec"),
        ("socket.getaddrinfo", Situation.HOLDERS_WAIT, "loop.getaddrinfo"),
        ("zlib.something", Situation.HOLDERS_WAIT, "asyncio.to_thread"),
    ],
)
def test_what_blocks_the_loop_is_replaced_by_what_it_does(awaited: str, wanted: Situation, words: str) -> None:
    found = blocked(awaited)
    assert key(found, Cause.LOOP_BUSY) == f"loop_busy/{wanted}"
    assert words in found.remedy


def test_a_loop_that_stands_in_a_lock_is_told_with_who_has_that() -> None:
    lock = {schema.LOCK_KIND: "Lock", schema.LOCK_FILE: "/srv/app.py", schema.LOCK_LINE: 8}
    by = {
        schema.BLOCKER_FUNCTION: "snapshot", schema.BLOCKER_FILE: "/srv/app.py", schema.BLOCKER_LINE: 26,
        schema.BLOCKER_TRACE_ID: trace_id("c"), schema.BLOCKER_SPAN_ID: f"{9:016x}", schema.BLOCKER_NS: 10 * MS,
    }  # fmt: skip
    picture = (
        BLOCKED_LOOP.format(cpu=0)
        + BLOCKS.replace("blocking_io for=", "lock_wait")
        + """
    server THIRD       |------------|                trace=c
    task   third       |------------|                trace=c
    block  has third   |------------|                trace=c cpu=12
    """
    )
    stood = {schema.CODE_FUNCTION: "snapshot", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 26}
    found = told(picture, {"b": BLOCKED_BY_LONG, "held": lock | by, "has": stood})
    assert key(found, Cause.LOOP_BUSY) == "loop_busy/holders_queue"
    assert "behind snapshot (srv/app.py:26), computing" in found.remedy
    assert "most of it by OTHER" in found.text


def test_work_of_no_request_that_awaits_under_a_lock_is_to_give_it_back_before() -> None:
    by = {schema.BLOCKER_FUNCTION: "flush", schema.BLOCKER_FILE: "/srv/app.py", schema.BLOCKER_LINE: 9}
    found = in_turn(
        [100], "Lock.acquire", "unknown", **by, **{schema.BLOCKER_NS: 90 * MS, schema.FOR_MODULE: "asyncio.locks"}
    )
    assert key(found, Cause.LIMITER_WAIT) == "limiter_wait/background_holds"
    assert "keeps the lock over an await (flush (srv/app.py:9))" in found.remedy


def test_a_librarys_work_for_an_endpoint_that_blocks_the_loop_is_not_moved_but_made_less() -> None:
    """Its block has the name of the library's function, and the endpoint's place: the endpoint was not on the stack."""
    place = {schema.CODE_FUNCTION: "theirs", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    more = {
        "b": BLOCKED_BY_LONG | {schema.BLOCKER_FILE: "/srv/app.py"}, "long": place | {schema.FOR_PACKAGE: "pydantic"},
    }  # fmt: skip
    found = told(BLOCKED_LOOP.format(cpu=12), more)
    assert key(found, Cause.LOOP_BUSY) == "loop_busy/holders_compute"
    assert "neither checked nor converted" in found.remedy


@pytest.mark.parametrize(("collects", "else_"), [(False, ""), (True, "Else create fewer objects")])
def test_what_blocks_the_loop_in_a_call_that_could_do_less_is_told_so(collects: bool, else_: str) -> None:
    pause = "    wait held theirs     |-----------|    trace=b type=gc_pause\n"
    at = {schema.CODE_FUNCTION: "settings_for", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    call = at | {schema.FOR_CALL: "deepcopy", schema.FOR_PACKAGE: "copy"}
    picture = BLOCKED_LOOP.format(cpu=12) + pause * collects
    found = told(picture, {"b": BLOCKED_BY_LONG, "long": call} | ({"held": at} if collects else {}))
    assert "n settings_for a whole structure is copied each time: share what nobody changes" in found.remedy
    assert else_ in found.remedy


AFTER_ANSWER = """
    server GET            |---------------|
    task   root           |---------------|            cpu=3
    wait   b   root       |----------|                 type=loop_busy
    server OTHER    |---|                              trace=b
    task   theirs   |---|                              trace=b
    block  long           |---------|                  trace=c cpu=9
"""


@pytest.mark.parametrize(
    "picture", [BLOCKED_LOOP.format(cpu=12), AFTER_ANSWER], ids=["in a request", "after its answer"]
)
def test_native_code_on_the_loop_that_releases_the_gil_belongs_in_a_thread(picture: str) -> None:
    at = {schema.CODE_FUNCTION: "theirs", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    long = at | {schema.FOR_CALL: "Image.resize", schema.FOR_PACKAGE: "PIL"}
    found = told(picture, {"b": BLOCKED_BY_LONG | {schema.BLOCKER_FILE: "/srv/app.py"}, "long": long})
    assert key(found, Cause.LOOP_BUSY) == "loop_busy/holders_compute"
    assert "In theirs native code works that releases the GIL: call it in await asyncio.to_thread(...)" in found.remedy


JOBS_ON_LOOP = """
    server GET          |--------------|
    task   root         |--------------|
    block  long root    |--------------|             cpu=1
    job    mine long     |------------|
    wait   q    mine     |------|                    type=pool_queue
    run    ran  mine            |-----|              cpu=5
    wait   w    root     |------------|              type=await waker=mine
    server OTHER         |-------------|             trace=b
    task   late          |-------------|             trace=b
    wait   b    late     |------------|              trace=b type=loop_busy
"""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({}, "await loop.run_in_executor(pool, ...)"),
        (
            {schema.FOR_CALL: "Parallel.__call__", schema.FOR_PACKAGE: "joblib"},
            "call Parallel.__call__ (joblib) in await",
        ),
    ],
)
def test_who_waits_on_the_loop_for_jobs_in_processes_is_to_await_them(call: Mapping[str, Any], words: str) -> None:
    there = {schema.POOL_NAME: schema.POOL_NAME_PROCESSES, schema.PROCESS: True}
    at = {schema.CODE_FUNCTION: "rank", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    blocked = {**BLOCKED, schema.BLOCKER_TRACE_ID: trace_id("a"), schema.BLOCKER_SPAN_ID: f"{3:016x}"}
    more = {"long": at | call, "q": OCCUPIED | there, "ran": there | at, "b": blocked}
    found = told(JOBS_ON_LOOP, more)
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/blocks_loop"
    assert words in found.remedy
    # and who waits for that loop is not told that it computes there
    found = told(JOBS_ON_LOOP, more, "OTHER")
    assert key(found, Cause.LOOP_BUSY) == "loop_busy/holders_wait"
    assert "waiting for a job" in found.remedy


@pytest.mark.parametrize(
    ("cpu_ms", "without_cpu_ms", "wanted"), [(6, 4, Situation.HOLDERS_COMPUTE), (3, 7, Situation.HOLDERS_NEED_CPU)]
)
def test_what_computes_on_a_loop_holds_it_while_it_has_no_cpu_too(
    cpu_ms: int, without_cpu_ms: int, wanted: Situation
) -> None:
    picture = BLOCKED_LOOP.format(cpu=f"{cpu_ms} rq={without_cpu_ms}")
    in_python = {schema.GIL_NS: 2 * MS, schema.SAMPLES: 12}
    found = told(picture, {"b": BLOCKED_BY_LONG, "long": in_python})
    assert key(found, Cause.LOOP_BUSY) == f"loop_busy/{wanted}"


def test_who_waits_behind_those_that_other_processes_keep_from_a_cpu_is_not_told_to_run_fewer_threads() -> None:
    rival = {"kind": Situation.CPU_OTHER_PROCESSES, "numbers": {"name": "process backup"}}
    own = {"kind": Situation.CPU_OWN_THREADS, "numbers": {"name": "resize"}}
    queue = Pattern(Situation.HOLDERS_NEED_CPU, Cause.POOL_QUEUE, {"own": ""})
    first, second = (Pattern(one["kind"], None, one["numbers"]) for one in (rival, own))  # type: ignore[arg-type]
    assert "Move process backup off these CPUs" in remedy(Cause.POOL_QUEUE, (queue, first, second)).text
    assert "Run fewer threads at once" in remedy(Cause.POOL_QUEUE, (queue, second, first)).text


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, "await asyncio's counterpart"),
        ({schema.FOR_CALL: "Pool.apply", schema.FOR_PACKAGE: "multiprocessing"},
         "call Pool.apply (multiprocessing) in await asyncio.to_thread(...)"),
        ({schema.FOR: "socket.recv", schema.FOR_CALL: "get", schema.FOR_PACKAGE: "requests"}, "use an asynchronous client"),
        ({schema.FOR: "", schema.BLOCK_SYSCALL: "clock_nanosleep"}, "where a library sleeps"),
        ({schema.FOR: "socket.recv", schema.FOR_CALL: "Span.end", schema.FOR_PACKAGE: "opentelemetry"}, "a BatchSpanProcessor"),
        ({schema.FOR: "socket.recv", schema.CODE_FILE: "/v/site-packages/opentelemetry/sdk/trace/export.py"}, "a BatchSpanProcessor"),
        ({schema.FOR: "socket.recv", schema.CODE_FILE: "/v/site-packages/limits/strategies.py"}, "no code of the service calls it"),
        ({schema.FOR: "socket.recv", schema.CODE_FILE: "/srv/app.py"}, "use an asynchronous client"),
        ({schema.FOR: "", schema.FOR_CALL: "BaseProxy._callmethod", schema.FOR_PACKAGE: "multiprocessing"}, "ask once for all"),
    ],
)  # fmt: skip
def test_what_a_library_waits_in_is_not_the_users_to_replace(facts: Mapping[str, Any], words: str) -> None:
    assert words in instead_of({schema.FOR: "threading.Event.wait", **facts})


@pytest.mark.parametrize(("pool", "elsewhere"), [("default executor", True), (schema.POOL_NAME_PROCESSES, False)])
def test_what_computes_in_processes_is_not_to_be_moved_there(pool: str, elsewhere: bool) -> None:
    found = queued(schema.WAIT_POOL_QUEUE, "cpu=9", {**OCCUPIED, schema.POOL_NAME: pool})
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/holders_compute"
    assert ("move it to processes" in found.remedy) == elsewhere
    # as little where it is a limit in front of them
    found = queued(schema.WAIT_LIMITER, "cpu=9", BLOCKED, {schema.PROCESS: not elsewhere})
    assert key(found, Cause.LIMITER_WAIT) == "limiter_wait/holders_compute"
    assert ("move it to processes" in found.remedy) == elsewhere


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("loop user's /srv/compress.py:pack", "Move pack off the event loop"),
        ("loop library's /x/site-packages/starlette/middleware/gzip.py:pack", "compresslevel of GZipMiddleware"),
        ("loop user's /srv/app.py:pack in sklearn.<module>", "at the top of a module of yours"),
        (
            "loop library's /x/site-packages/anyio/_core/_sockets.py:<module> in most requests",
            "A module is imported there",
        ),
        (
            "thread user's /srv/app.py:pack",
            "more threads do not help Python's own computing, which needs the GIL: a process pool does",
        ),
        ("loop user's /srv/app.py:pack in json.loads", "a key for each entry"),
        ("loop user's /srv/app.py:pack in jsonschema.validate", "Move pack off the event loop"),
        ("process user's /srv/app.py:pack", "more processes only help while CPUs are idle"),
        ("loop user's /srv/app.py:pack in copy.deepcopy", "In pack a whole structure is copied each time"),
        ("loop user's /srv/app.py:pack in jinja2.Environment.from_string", "compile it once, at start-up"),
        ("loop user's /srv/app.py:pack in django.Template.__init__", "compile it once, at start-up"),
        ("loop user's /srv/app.py:pack in django.Model.__init__", "Move pack off the event loop"),
        ("loop user's /srv/app.py:pack in jinja2.Template.render", "In pack a template is rendered"),
        ("thread user's /srv/app.py:pack in sklearn.Pipeline.predict_proba", "ask it once for all rows"),
        ("thread user's /srv/app.py:transform: ColumnTransformer (prepare)", "ask it once for all rows"),
        ("loop user's /srv/app.py:compute: Booster.inplace_predict", "ask it once for all rows"),
    ],
)
def test_what_makes_computing_faster_depends_on_where_and_whose_it_is(where: str, words: str) -> None:
    assert words in look_up(FASTER, where).format(function="pack")


@pytest.mark.parametrize("limited", [True, False])
def test_jobs_whose_requests_a_time_limit_sent_on_work_for_nobody(*, limited: bool) -> None:
    """A limit around a job stops no thread."""
    found = told(
        f"""
        server GET             |----------------------|
        task   root            |----------------------|
        wait   w   root        |----------------------|        type=await waker=mine
        job    mine root       |----------------------|
        wait   q   mine        |-----------------|             type=pool_queue
        run    run mine                          |----|        cpu=4
        server OTHER     |--------|                            trace=b
        task   root2     |--------|                            trace=b
        wait   w2  root2 |-----|                               trace=b type=await waker={"timer" if limited else "io"} for=wait_for
        job    theirs root2 |--------------------|             trace=b
        run    run2 theirs  |--------------------|             trace=b cpu=0
        wait   held theirs  |--------------------|             trace=b type=blocking_io for=time.sleep
        """,
        {
            "q": {**OCCUPIED, schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7]},
            "w2": {schema.FOR_MODULE: "asyncio.tasks"},
        },
    )  # fmt: skip
    assert ("those ahead worked for nobody: a time limit had ended" in found.remedy) is limited
    # begun by a request, which does not wait for it
    assert (key(found, Cause.POOL_QUEUE) == "pool_queue/background_holds") is not limited


@pytest.mark.parametrize(("own_ms", "said"), [(3, True), (30, False)])
def test_who_waits_for_longer_jobs_than_its_own_is_told_of_a_pool_of_its_own(own_ms: int, *, said: bool) -> None:
    queued, ran = f"|{'-' * 79}|", f"|{'-' * (own_ms - 1)}|"
    found = told(
        f"""
        server GET       |{"-" * (80 + own_ms)}|
        task   root      |{"-" * (80 + own_ms)}|
        wait   w   root  |{"-" * (79 + own_ms)}|        type=await waker=mine
        job    mine root |{"-" * (79 + own_ms)}|
        wait   q   mine  {queued}                       type=pool_queue
        run    run mine  {" " * 80}{ran}                cpu={own_ms}
        server OTHER     {queued}                       trace=b
        task   root2     {queued}                       trace=b
        wait   w2  root2 {queued}                       trace=b type=await waker=theirs
        job    theirs root2{queued}                     trace=b
        run    run2 theirs {queued}                     trace=b cpu=78
        """,
        {"q": OCCUPIED, "mine": {schema.POOL_NAME: "default executor"}, "run": {schema.CODE_FUNCTION: "price_of"}},
    )  # fmt: skip
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/holders_compute"
    assert ("(price_of) takes 3.0 ms in all: in a small pool of its own" in found.remedy) is said


@pytest.mark.parametrize(
    ("call", "words"),
    [("ForestClassifier.predict_proba", "n_jobs=1"), ("Pool.get", "Make that shorter, or ask it for less")],
)
def test_a_pause_of_a_library_in_a_worker_is_not_the_users_to_make_shorter(call: str, words: str) -> None:
    at = {schema.FOR: "time.sleep", schema.FOR_MODULE: "time", schema.CODE_FUNCTION: "risk_of"}
    assert "the code pauses there itself" in in_thread(at)
    how = in_thread({**at, schema.FOR_CALL: call, schema.FOR_PACKAGE: "sklearn"})
    assert how.startswith(f"sklearn.{call} pauses there until what it waits for is done.")
    assert words in how


def test_unexplained_time_in_a_librarys_call_is_told_with_what_makes_that_less() -> None:
    call = {schema.FOR_CALL: "ForestClassifier.predict_proba", schema.FOR_PACKAGE: "sklearn"}
    at = {schema.CODE_FUNCTION: "risk_of", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    picture = """
        server GET     |--------------------|
        task   root    |--------------------|    cpu=1
        wait   w root   |------------------|     type=await waker=unknown
    """
    assert told(picture, {"w": at | call}).remedy.startswith("In risk_of a model is asked")
    assert "a model is asked" not in told(picture, {"w": at}).remedy


def test_what_the_holders_did_is_said_in_the_reason() -> None:
    assert "they were computing for 100% of it" in blocked("").reasons[0]


@pytest.mark.parametrize(
    ("package", "call", "words"),
    [
        ("sqlalchemy", "Session.scalar", "whether it waits for a lock"),
        ("sqlalchemy", "InstrumentedAttribute.__get__", "a lazy load"),
        ("django", "ForwardManyToOneDescriptor.__get__", "select_related"),
        ("django", "Paginator.count", "EXPLAIN"),
        ("django", "Template.render", "goes through rows"),
        ("requests", "Session.get", "make the call shorter"),
    ],
)
def test_a_worker_that_sleeps_in_a_databases_library(package: str, call: str, words: str) -> None:
    slept = {
        schema.CALL: "poll", schema.CALL_NS: 60_000_000, schema.CALL_OF: call, schema.CALL_PACKAGE: package,
        schema.CALLED_NAMES: ["count"], schema.CALLED_FILES: ["/srv/app.py"], schema.CALLED_LINES: [9],
        schema.CALLED_NS: [60_000_000],
    }  # fmt: skip
    long = bar("server GET", 0, 60) + bar("task root", 0, 60) + bar("wait w root", 0, 60, "type=await waker=mine")
    found = told(long + bar("job mine root", 0, 60) + bar("run run mine", 0, 60, "cpu=0"), {"run": slept})
    assert key(found, Cause.BLOCKING_IO) == "blocking_io/in_worker"
    assert f"in poll of {call} ({package}) in count (srv/app.py:9)." in found.reasons[0]  # and who once only
    assert words in found.remedy


def test_what_helps_in_a_worker_is_decided_by_all_of_its_time_not_by_its_longest_call() -> None:
    calls = {
        "a": ("Session.__exit__", 60),
        "b": ("InstrumentedAttribute.__get__", 50),
        "c": ("InstrumentedAttribute.__get__", 50),
    }
    picture, more = "", {}
    for name, (call, ms) in calls.items():
        of = f"trace={name}"
        picture += bar(f"server GET{name}", 0, ms, of) + bar(f"task root{name} GET{name}", 0, ms, of)
        picture += bar(f"wait w{name} root{name}", 0, ms, f"{of} type=await waker=job{name}")
        picture += bar(f"job job{name} root{name}", 0, ms, of) + bar(f"run run{name} job{name}", 0, ms, f"{of} cpu=0")
        more[f"run{name}"] = {
            schema.CALL: "poll", schema.CALL_NS: ms * MS, schema.CALL_OF: call, schema.CALL_PACKAGE: "sqlalchemy",
        }  # fmt: skip
    spans = drawn(picture, more)
    spans["name"] = spans["name"].str.replace(r"^GET\w$", "GET", regex=True)
    (found,) = verdict(analyze(spans))
    assert "a lazy load" in found.remedy


@pytest.mark.parametrize(("limit_ms", "wanted"), [(20, "blocking_io/limit_in_vain"), (59, "blocking_io/in_worker")])
def test_a_time_limit_around_a_thread_that_ran_on_beyond_it(limit_ms: int, wanted: str) -> None:
    picture = bar("server GET", 0, 60) + bar("task root", 0, 60) + bar("wait w root", 0, 60, "type=await waker=mine")
    picture += bar("job mine root", 0, 60) + bar("run run mine", 0, 60, "cpu=0")
    picture += bar("wait held mine", 0, 60, "type=blocking_io for=time.sleep")
    at = {schema.CODE_FUNCTION: "report", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    found = told(picture, {"mine": at | {schema.LIMIT_NS: limit_ms * MS}})
    assert key(found, Cause.BLOCKING_IO) == wanted
    said = "A time limit of about 20.0 ms around report (srv/app.py:9) had no effect: it ends no thread, and 1 call took 40.0 ms"
    assert (said in " ".join(found.situations)) is (limit_ms == 20)


# --- where a blocking call is ---------------------------------------------------------------------
@pytest.mark.parametrize(
    ("owner", "bar", "wanted", "words", "never"),
    [
        (
            "root",
            "           |-------|",
            "blocking_io/blocks_loop",
            "await asyncio.sleep(...)",
            "worker thread already",
        ),
        ("mine", "|--------|", "blocking_io/in_worker", "in a worker thread already", "to_thread"),
    ],
)
def test_a_blocking_call_on_the_loop_and_in_a_worker(owner: str, bar: str, wanted: str, words: str, never: str) -> None:
    found = told(
        f"""
    server GET        |-------------------|
    task   root       |-------------------|
    wait   w   root   |--------|                 type=await waker=mine
    job    mine root  |--------|
    run    run mine   |--------|                 cpu=0
    wait   s   {owner}   {bar}                   type=blocking_io for=time.sleep
    """
    )
    assert key(found, Cause.BLOCKING_IO) == wanted
    assert words in found.remedy
    assert never not in found.remedy


# --- repeated waits -------------------------------------------------------------------------------
def bar(head: str, begin: int, end: int, facts: str = "") -> str:
    return f"{head:<30}{' ' * begin}|{'-' * (end - begin - 1)}|  {facts}\n"


def in_turn(lengths: list[int], awaited: str = "sleep", waker: str = "timer", **more: Any) -> Verdict:
    """Return the verdict on a request that awaits one thing so many times, one after another, on one line."""
    place = {schema.CODE_FUNCTION: "fetch", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9, **more}
    lines, begin = [], 2
    for number, length in enumerate(lengths):
        lines.append(bar(f"wait w{number} root", begin, begin + length, f"waker={waker} for={awaited}"))
        begin += length + 1
    head = bar("server GET", 0, begin) + bar("task root", 0, begin)
    return told(head + "".join(lines), {f"w{number}": place for number in range(len(lengths))})


def test_awaits_one_after_another_that_could_run_together() -> None:
    found = in_turn([20, 21, 20, 24, 20])
    assert key(found, Cause.AWAIT_IO) == "await_io/serial_awaits"
    assert "If they do not need each other's results" in found.remedy
    (said,) = found.situations
    assert "5 times per request, one after another, 105 ms in all: a timer: sleep in fetch (srv/app.py:9)" in said
    assert "The longest takes 24.0 ms." in said


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        (("ping", "begin", "prepare", "execute", "execute"), "Make fewer round trips"),  # of one call
        (("execute",) * 5, "ask once for all"),
        (("prepare", "execute") * 5, "ask once for all"),
        (("ping", "begin", "prepare") + ("execute",) * 6, "ask once for all"),
    ],
)
def test_the_steps_of_one_call_are_no_calls(steps: tuple[str, ...], words: str) -> None:
    at = {schema.CODE_FUNCTION: "account", schema.FOR_CALL: "AsyncSession.execute", schema.FOR_PACKAGE: "sqlalchemy"}
    picture, more = bar("server GET", 0, 110) + bar("task root", 0, 110), {}
    for number, step in enumerate(steps):
        picture += bar(f"wait w{number} root", 1 + 11 * number, 11 + 11 * number, f"waker=io for={step}")
        more[f"w{number}"] = at
    found = told(picture, more)
    assert key(found, Cause.AWAIT_IO) == "await_io/serial_awaits"
    assert words in found.remedy


def test_one_that_takes_much_longer_is_one_of_them_and_does_not_hide_the_others() -> None:
    found = in_turn([20] * 6 + [70])
    assert key(found, Cause.AWAIT_IO) == "await_io/serial_awaits"
    assert "7 times per request, one after another, 190 ms in all" in found.situations[0]


def test_where_one_has_nearly_all_of_the_time_the_others_do_not_matter() -> None:
    assert key(in_turn([20] * 6 + [300]), Cause.AWAIT_IO) == "await_io/pause"


@pytest.mark.parametrize(
    ("awaited", "facts", "kind", "words"),
    [
        ("sleep", {}, "/pause", "The code pauses there itself"),
        ("sleep", {schema.FOR_CALL: "wait_until", schema.FOR_PACKAGE: "made_up"}, "", "Make what is awaited shorter"),
        ("sleep", {schema.FOR_TASK: "refresher"}, "/by_task", "a task of no request"),
        ("Event.wait", {schema.FOR_CALL: "AsyncClient.get", schema.FOR_PACKAGE: "httpx"}, "/other_service",
         "The other side takes this long to answer"),
        ("Future", {schema.FOR_CALL: "Connection.fetch", schema.FOR_PACKAGE: "asyncpg"}, "/database", "EXPLAIN"),
        ("Future", {}, "/other_service", "The other side takes this long to answer"),
        ("wait", {schema.FOR_MODULE: "asyncio.subprocess"}, "/child_process", "The child process takes this time"),
    ],
)  # fmt: skip
def test_what_helps_about_one_await_depends_on_what_is_awaited(
    awaited: str, facts: dict[str, Any], kind: str, words: str
) -> None:
    found = in_turn([120], awaited, "timer" if awaited == "sleep" else "io", **facts)
    assert key(found, Cause.AWAIT_IO) == f"await_io{kind}"
    assert words in found.remedy


def test_calls_of_a_client_one_after_another_are_no_stream_that_it_reads() -> None:
    found = in_turn([20] * 5, "StreamReader.read", "io", **{schema.FOR_CALL: "ClientSession._request"})
    assert key(found, Cause.AWAIT_IO) == "await_io/serial_awaits"
    found = in_turn([20] * 5, "StreamReader.read", "io", **{schema.FOR_CALL: "Response.aiter_bytes"})
    assert key(found, Cause.AWAIT_IO) == "await_io/other_service"


def test_a_task_that_does_one_thing_after_another_for_a_request_is_a_queue() -> None:
    found = in_turn([20, 21, 20, 24, 20], **{schema.FOR_TASK: "worker", schema.FOR_TURNS: 5})
    assert key(found, Cause.AWAIT_IO) == "await_io/consumer"
    assert kinds(found) == [Situation.CONSUMER]
    assert "worker did 5.0 pieces of work, one after another, 21.0 ms each (a timer: sleep in fetch" in found.text


@pytest.mark.parametrize(("status", "said"), [(200, False), (504, True)])
def test_a_task_of_which_one_is_left_may_have_been_ended_by_an_error(status: int, *, said: bool) -> None:
    turn = {schema.FOR_TASK: "worker", schema.FOR_TURNS: 2}
    found = told(
        """
        server GET         |----------|
        task   root GET    |----------|
        wait   a    root   |----|           waker=timer for=sleep
        wait   b    root        |----|      waker=timer for=sleep
        """,
        {"GET": {"http.response.status_code": status}, "a": turn, "b": turn},
    )
    assert "A queue before 1 task" in found.text
    assert "start several of it" in found.remedy
    assert ("the error of one request ends none of them" in found.remedy) is said


def test_several_tasks_of_one_function_are_counted() -> None:
    """Three of it, each 10 ms after the one before: every request saw the turns of one."""
    rows = [
        f"""
        server GET{one}          |{"-" * 29}|  trace={"bcd"[one]}
        task   root{one} GET{one}  |{"-" * 29}|  trace={"bcd"[one]}
        wait   a{one} root{one} {" " * (4 + one)}|--------|           trace={"bcd"[one]} waker=timer for=sleep
        wait   b{one} root{one} {" " * (13 + one)}|--------|  trace={"bcd"[one]} waker=timer for=sleep
        """
        for one in range(3)
    ]
    facts = {schema.FOR_TASK: "worker", schema.FOR_TURNS: 2}
    found = verdict(analyze(drawn("".join(rows), {f"{name}{one}": facts for name in "ab" for one in range(3)})))
    assert all("A queue before 3 tasks" in one.text for one in found)
    assert all("start more of it than these 3" in one.remedy for one in found)


@pytest.mark.parametrize(
    ("file", "how"),
    [
        ("/srv/app.py", "before the first request: "),
        ("/v/site-packages/hypercorn/run.py", "by a request of the service"),
    ],
)
def test_what_a_library_does_in_the_first_only_is_done_by_a_request(file: str, how: str) -> None:
    picture = bar("server S0", 0, 91, "trace=a") + bar("task root0 S0", 0, 91, "trace=a cpu=90")
    picture += bar("block first root0", 0, 90, "trace=a cpu=90")
    for number in range(1, 20):
        trace, begin = f"trace={chr(ord('a') + number)}", number * 40 + 60
        picture += bar(f"server S{number}", begin, begin + 4, trace)
        picture += bar(f"task root{number} S{number}", begin, begin + 4, f"{trace} cpu=3")
    place = {schema.CODE_FUNCTION: "set_up", schema.CODE_FILE: file, schema.CODE_LINE: 3}
    (found,) = verdict(analyze(drawn(picture, {"first": place}).replace({"name": r"^S\d+$"}, "GET", regex=True)))
    assert Situation.COLD_START in kinds(found)
    assert how in found.remedy


@pytest.mark.parametrize("later", [False, True])
def test_a_task_that_lets_all_go_on_once_is_no_queue(later: bool) -> None:
    """As one that loads what all requests wait for at the start; it is one where it answers others at another time, too."""
    turns, picture, more = {schema.FOR_TASK: "warm_up", schema.FOR_TURNS: 3}, "", {}
    for number in range(20):
        waits, begin = number < 2 or (later and number == 19), number * 40 if number > 1 else number
        trace, until = f"trace={chr(ord('a') + number)}", (begin // 10 * 10 + 30 if waits else begin + 3)
        picture += bar(f"server S{number}", begin, until + 1, trace) + bar(
            f"task root{number} S{number}", begin, until + 1, trace
        )
        for piece in range(3 * waits):
            name, first = f"w{number}{piece}", max(begin, begin // 10 * 10 + 10 * piece)
            picture += bar(
                f"wait {name} root{number}", first, begin // 10 * 10 + 10 * piece + 10, f"waker=timer {trace}"
            )
            more[name] = {schema.FOR: "sleep", **turns}
    (found,) = verdict(analyze(drawn(picture, more).replace({"name": r"^S\d+$"}, "GET", regex=True)))
    assert (Situation.BY_TASK in kinds(found)) is not later
    assert ("2 of 20 requests waited for warm_up" in found.text) is not later
    assert ("while a request waited, as 3 of 20 did" in found.text) is later
    assert (Situation.COLD_START in kinds(found)) is not later


def test_the_endpoint_that_fills_a_queue_before_others_come_is_told() -> None:
    turns, picture, more = {schema.FOR_TASK: "worker", schema.FOR_TURNS: 2}, "", {}
    for trace, endpoint, begin, pieces in (("a", "BULK", 0, 9), ("b", "GET", 2, 4), ("c", "GET2", 41, 2)):
        until = (begin // 10 + pieces) * 10
        picture += bar(f"server {endpoint}", begin, until + 1, f"trace={trace}")
        picture += bar(f"task root{trace} {endpoint}", begin, until + 1, f"trace={trace}")
        more[f"root{trace}"] = {schema.ROOT: True}
        for piece in range(pieces):
            first = max(begin // 10 * 10 + piece * 10, begin)
            name = f"w{trace}{piece}"
            picture += bar(
                f"wait {name} root{trace}", first, until - (pieces - piece - 1) * 10, f"trace={trace} waker=timer"
            )
            more[name] = {schema.FOR: "sleep", **turns}
    spans = drawn(picture, more).replace({"name": {"GET2": "GET"}})
    bulk, get = sorted(verdict(analyze(spans)), key=lambda one: one.endpoint)
    assert "Requests of BULK, begun before, queued there, too" in get.text
    assert "Or give BULK a queue of its own" in get.remedy
    assert "begun before" not in bulk.text


@pytest.mark.parametrize(("second", "situation"), [("|----|", Situation.BATCHES), ("|--|", Situation.CONSUMER)])
def test_a_task_that_answers_several_at_once_takes_batches(second: str, situation: Situation) -> None:
    found = told(
        f"""
        server GET         |----------|
        task   root GET    |----------|
        wait   a    root   |----|                waker=job
        wait   b    root        |----|           waker=job
        server POST        |----------|          trace=b
        task   mine POST   |----------|          trace=b
        wait   c    mine   |----|                trace=b waker=job
        wait   d    mine        {second}         trace=b waker=job
        """,
        {name: {schema.FOR_TASK: "engine", schema.FOR_TURNS: 2} for name in "abcd"},
    )
    assert key(found, Cause.BLOCKING_IO) == f"blocking_io/{situation}"
    assert ("answer each as soon as it is done" in found.remedy) == (situation is Situation.BATCHES)
    assert ("which does one thing after another" in found.remedy) == (situation is Situation.CONSUMER)


@pytest.mark.parametrize(
    ("facts", "is_task"),
    [({}, True), ({schema.WAKER_KIND: schema.WAKER_ARRIVAL}, False), ({schema.FOR_TASK: ""}, False)],
)
def test_a_task_of_no_request_that_does_something_for_which_requests_wait(
    facts: dict[str, str], *, is_task: bool
) -> None:
    found = in_turn([50], "Event.wait", "io", **{schema.FOR_TASK: "Broker.read", **facts})
    assert (key(found, Cause.AWAIT_IO) == "await_io/by_task") is is_task
    said = "1 of 1 request waited for Broker.read, a task of no request, 50.0 ms each (awaiting Event.wait"
    assert (said in found.text) is is_task
    assert ("What Broker.read need not wait for itself" in found.remedy) is is_task
    assert ("let them go on with what was there before" in found.remedy) is is_task


def test_calls_of_a_client_that_reads_a_stream_inside() -> None:
    called = {schema.FOR_CALL: "ClientSession._request", schema.FOR_PACKAGE: "aiohttp"}
    found = in_turn([20, 21, 20, 24, 20], "DataQueue.read", "io", **called)
    assert key(found, Cause.AWAIT_IO) == "await_io/serial_awaits"
    found = in_turn([20, 21, 20, 24, 20], "DataQueue.read", "io", **called | {schema.FOR_CALL: "ClientResponse.read"})
    assert key(found, Cause.AWAIT_IO) == "await_io/other_service"


@pytest.mark.parametrize(("step", "remedy_key"), [(schema.STEP_CONNECT, "/retries"), ("", "/other_service")])
def test_a_client_that_sleeps_while_it_connects_tries_again(step: str, remedy_key: str) -> None:
    client = {schema.FOR_CALL: "AsyncClient.get", schema.FOR_PACKAGE: "httpx", schema.FOR_STEP: step}
    assert key(in_turn([60], **client), Cause.AWAIT_IO) == f"await_io{remedy_key}"


def test_a_process_that_asyncio_awaits_in_a_thread() -> None:
    module = {schema.FOR_MODULE: "asyncio.base_subprocess"}
    found = in_turn([40], "BaseSubprocessTransport._wait", schema.WAKER_THREAD, **module)
    assert key(found, Cause.AWAIT_IO) == "await_io/child_process"
    assert key(in_turn([40], "Future", schema.WAKER_THREAD), Cause.AWAIT_IO) == ""


def test_pauses_that_grow_are_retries() -> None:
    found = in_turn([10, 20, 40])
    assert key(found, Cause.AWAIT_IO) == "await_io/retries"
    assert "3 pauses between tries per request, 70.0 ms in all" in found.situations[0]


@pytest.mark.parametrize(
    ("of_others", "key_of_it"), [([20], "retries"), ([20, 40, 40], "retries"), ([40] * 6, "polling")]
)
def test_where_pauses_grow_mostly_those_that_come_alone_or_stop_growing_are_retries(
    of_others: list[int], key_of_it: str
) -> None:
    at = {schema.CODE_FUNCTION: "again", schema.CODE_FILE: "/srv/app.py", schema.FOR_STEP: schema.STEP_PAUSE}
    picture, more = "", {}
    for trace, lengths in (("a", [20, 40, 80]), ("b", of_others)):
        end = sum(lengths) + 2 * len(lengths) + 1
        picture += bar(f"server GET{trace}", 0, end, f"trace={trace}") + bar(
            f"task root{trace} GET{trace}", 0, end, f"trace={trace}"
        )
        begin = 1
        for number, length in enumerate(lengths):
            name = f"{trace}{number}"
            picture += bar(f"wait {name} root{trace}", begin, begin + length, f"trace={trace} waker=timer for=sleep")
            begin, more[name] = begin + length + 2, at
    spans = drawn(picture, more)
    spans["name"] = spans["name"].str.replace(r"^GET\w$", "GET", regex=True)
    (found,) = verdict(analyze(spans))
    assert key(found, Cause.AWAIT_IO) == f"await_io/{key_of_it}"
    assert len(found.situations) == 1


@pytest.mark.parametrize(("holder", "remedy_key"), [(1, "/holds_one"), (7, "/connections_held")])
def test_who_waits_for_a_connection_and_holds_one(holder: int, remedy_key: str) -> None:
    held = {
        schema.OCCUPANT_NAMES: ["next_number"], schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7],
        schema.OCCUPANT_TRACE_IDS: [trace_id("a")], schema.OCCUPANT_SPAN_IDS: [f"{holder + 1:016x}"],
        schema.OCCUPANT_NS: [30 * MS], schema.POOL_NAME: "orders", schema.POOL_SIZE: 3, schema.POOL_KNOB: "max_size",
    }  # fmt: skip
    picture = bar("server GET", 0, 40) + bar("task root", 0, 40) + bar("wait w root", 2, 32, "type=connection_wait")
    found = told(picture, {"w": held})
    assert key(found, Cause.CONNECTION_WAIT) == f"connection_wait{remedy_key}"
    if remedy_key == "/holds_one":
        assert "1 request held a connection of orders, 3 connections while" in found.text
        assert found.remedy.startswith("Break the cycle: hand the connection (or session) that is held to next_number")


@pytest.mark.parametrize(
    ("package", "asked", "words"),
    [
        ("psycopg", "psycopg_pool", "and the database works there meanwhile"),
        ("aiohttp", "aiohttp", "and are in use there: make what is asked shorter"),
        ("httpx", "psycopg_pool", "do less there while one is held"),
        ("", "", "do less there while one is held"),
    ],
)
def test_connections_that_are_used_all_the_time_they_are_held_are_not_held_for_too_long(
    package: str, asked: str, words: str
) -> None:
    held = {
        schema.OCCUPANT_NAMES: ["reserve"], schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7],
        schema.OCCUPANT_TRACE_IDS: [trace_id("b")], schema.OCCUPANT_SPAN_IDS: [f"{5:016x}"],
        schema.OCCUPANT_NS: [30 * MS], schema.POOL_NAME: "orders", schema.POOL_SIZE: 3, schema.POOL_KNOB: "max_size",
        schema.FOR_CALL: "AsyncConnectionPool.getconn", schema.FOR_PACKAGE: asked,
    }  # fmt: skip
    theirs = {
        schema.FOR_CALL: "execute", schema.FOR_PACKAGE: package, schema.CODE_FUNCTION: "reserve",
        schema.CODE_FILE: "/srv/app.py", schema.CALLERS: ["book (srv/views.py)", "audit (srv/layers.py)"],
    }  # fmt: skip
    other = bar("server OTHER", 0, 45, "trace=b") + bar("task root2", 0, 45, "trace=b")
    other += bar("wait theirs root2", 2, 40, "trace=b waker=io for=Future")
    picture = bar("server GET", 8, 48) + bar("task root", 8, 48) + bar("wait w root", 10, 40, "type=connection_wait")
    found = told(picture + other, {"w": held, "theirs": theirs})
    assert key(found, Cause.CONNECTION_WAIT) == "connection_wait/connections_held"
    assert words in found.remedy
    called = "reserve (srv/app.py:7), or by who called it: book (srv/views.py), audit (srv/layers.py)."
    assert f"A connection is held in {called}" in found.text


@pytest.mark.parametrize(
    ("thread", "kind", "cpu_ms"),
    [("engine", "/by_thread", None), ("engine", "/by_thread", 1), ("", "/background_holds", None)],
)
def test_a_thread_that_gives_what_requests_await_is_told_with_its_function(
    thread: str, kind: str, cpu_ms: int | None
) -> None:
    by = {
        **({schema.CPU_NS: cpu_ms * MS} if cpu_ms else {}),
        schema.BLOCKER_FUNCTION: "step", schema.BLOCKER_FILE: "/srv/engine.py", schema.BLOCKER_LINE: 26,
        schema.BLOCKER_NS: 90 * MS, schema.WAKER_NAME: thread,
    }  # fmt: skip
    waker = schema.WAKER_THREAD if thread else schema.WAKER_ACTIVITY
    found = in_turn([100], "Event.wait", waker, **by, **{schema.FOR_MODULE: "asyncio.locks"})
    assert key(found, Cause.LIMITER_WAIT) == f"limiter_wait{kind}"
    assert ("Requests wait until step (srv/engine.py:26), in engine, gives" in found.remedy) == bool(thread)
    assert ("does not compute, but waits itself" in found.remedy) == bool(cpu_ms)


def test_connections_that_work_of_no_request_has_are_told_so() -> None:
    held = {
        schema.OCCUPANT_NAMES: ["deliver"], schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7],
        schema.OCCUPANT_TRACE_IDS: [""], schema.OCCUPANT_SPAN_IDS: [""], schema.OCCUPANT_NS: [30 * MS],
        schema.POOL_NAME: "TCPConnector", schema.POOL_SIZE: 3, schema.POOL_KNOB: "limit",
    }  # fmt: skip
    picture = bar("server GET", 8, 48) + bar("task root", 8, 48) + bar("wait w root", 10, 40, "type=connection_wait")
    found = told(picture, {"w": held})
    assert "as no request waits for that work, give it a pool of its own" in found.remedy


@pytest.mark.parametrize(("until", "remedy_key"), [(5, "held_afterwards"), (40, "connections_held")])
def test_a_request_that_ended_and_never_gave_its_connection_back(until: int, remedy_key: str) -> None:
    held = {
        schema.OCCUPANT_NAMES: ["coupon"], schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7],
        schema.OCCUPANT_TRACE_IDS: [trace_id("b")], schema.OCCUPANT_SPAN_IDS: [f"{9:016x}"],
        schema.OCCUPANT_NS: [30 * MS], schema.POOL_NAME: "orders", schema.POOL_SIZE: 3, schema.POOL_KNOB: "max_size",
    }  # fmt: skip
    other = bar("server OTHER", 0, until, "trace=b") + bar("task root2", 0, until, "trace=b")
    picture = bar("server GET", 8, 48) + bar("task root", 8, 48) + bar("wait w root", 10, 40, "type=connection_wait")
    spans = drawn(picture + other, {"w": held})
    (found,) = (one for one in verdict(analyze(spans)) if one.endpoint == "GET")
    assert key(found, Cause.CONNECTION_WAIT) == f"connection_wait/{remedy_key}"
    assert ("back in every case" in found.remedy) == (remedy_key == "held_afterwards")
    spans["name"] = spans["name"].replace("OTHER", "WS /live connect")  # whose messages are traces of their own
    (found,) = (one for one in verdict(analyze(spans)) if one.endpoint == "GET")
    assert key(found, Cause.CONNECTION_WAIT) == "connection_wait/connections_held"
    assert ("while its websocket is open" in found.remedy) == (remedy_key == "held_afterwards")


def test_a_culprit_stands_where_it_was_for_most_of_the_time() -> None:
    lines = {"a": 8, "b": 9, "c": 9}
    at = {
        name: {schema.CODE_FUNCTION: "user_of", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: line}
        for name, line in lines.items()
    }
    waits = [
        bar(f"wait {name} root", 2 + 20 * n, 18 + 20 * n - 4 * (n > 0), "waker=io") for n, name in enumerate(lines)
    ]
    found = told(bar("server GET", 0, 70) + bar("task root", 0, 70) + "".join(waits), at)
    (reason,) = found.judgement.reasons
    assert (reason.culprit, reason.culprit_line) == ("user_of", 9)


@pytest.mark.parametrize(
    ("package", "lengths", "remedy_key"),
    [("tenacity", [50, 50, 50], "/retries"), ("tenacity", [60], "/retries"), ("mylib", [50, 50, 50], "")],
)
def test_pauses_of_a_library_that_tries_again(package: str, lengths: list[int], remedy_key: str) -> None:
    library = {schema.FOR_CALL: "AsyncRetrying.__call__", schema.FOR_PACKAGE: package}
    assert key(in_turn(lengths, **library), Cause.AWAIT_IO) == f"await_io{remedy_key}"


@pytest.mark.parametrize(("package", "remedy_key"), [("arq", "/polling"), ("", "/pause")])
def test_one_pause_of_a_library_s_own_loop_is_polling(package: str, remedy_key: str) -> None:
    library = {schema.FOR_CALL: "Job.result", schema.FOR_PACKAGE: package} if package else {}
    found = in_turn([480], **library, **{schema.FOR_STEP: schema.STEP_PAUSE})
    assert key(found, Cause.AWAIT_IO) == f"await_io{remedy_key}"
    assert not package or "after each pause, 1 pause per request, 480 ms in all" in found.text


@pytest.mark.parametrize(("awaited", "module"), [("wait", "asyncio.tasks"), ("sleep", "asyncio.tasks")])
@pytest.mark.parametrize(("package", "situation"), [("aiolimiter", Situation.RATE_LIMIT), ("mylib", None)])
def test_a_rate_limiter_is_no_time_limit_and_no_polling(
    package: str, situation: Situation | None, awaited: str, module: str
) -> None:
    library = {schema.FOR_CALL: "AsyncLimiter.acquire", schema.FOR_PACKAGE: package, schema.FOR_MODULE: module}
    found = in_turn([60], awaited, **library)
    assert (kinds(found) == [Situation.RATE_LIMIT]) is (situation is not None)
    if situation is not None:
        assert "raise the rate of AsyncLimiter.acquire in fetch (srv/app.py:9)" in found.remedy


@pytest.mark.parametrize(
    ("package", "words"),
    [("sqlalchemy", "selectinload"), ("asyncpg", "= ANY("), ("redis", "a pipeline"), ("httpx", "asyncio.gather")],
)
def test_what_one_connection_answers_in_turn_is_asked_once_for_all(package: str, words: str) -> None:
    found = in_turn([20] * 5, "Future", "io", **{schema.FOR_CALL: "fetch", schema.FOR_PACKAGE: package})
    assert key(found, Cause.AWAIT_IO) == "await_io/serial_awaits"
    assert words in found.remedy


@pytest.mark.parametrize(
    ("call", "package", "words"),
    [
        ("AsyncSession.commit", "sqlalchemy", "Commit once, after the last one"),
        ("AsyncSession.execute", "sqlalchemy", "selectinload"),
        ("AsyncScanCommands.scan_iter", "redis", "count= of the scan"),
        ("Redis.get", "redis", "a pipeline"),
        ("BaseCursor._exec", "asyncpg", "prefetch= of the cursor"),
        ("Connection.fetchval", "asyncpg", "= ANY("),
        ("AsyncClient.get", "httpx", "ask its final address"),
    ],
)
def test_what_is_asked_in_turn_decides_how_to_ask_once(call: str, package: str, words: str) -> None:
    found = in_turn([20] * 5, "Future", "io", **{schema.FOR_CALL: call, schema.FOR_PACKAGE: package})
    assert words in found.remedy


@pytest.mark.parametrize(("package", "remedy_key"), [("requests", "/retries"), ("openai", "/retries"), ("mine", "")])
def test_a_client_that_sleeps_tries_again(package: str, remedy_key: str) -> None:
    library = {schema.FOR_CALL: "Session.get", schema.FOR_PACKAGE: package}
    assert key(in_turn([60], **library), Cause.AWAIT_IO) == f"await_io{remedy_key}"


@pytest.mark.parametrize(("lengths", "is_told"), [([20, 21, 20], True), ([3, 3, 3, 60, 60], False), ([20, 20], False)])
def test_three_like_awaits_are_told_where_they_are_much_of_the_request(lengths: list[int], *, is_told: bool) -> None:
    picture, begin = "", 2
    for number, length in enumerate(lengths):
        picture += bar(f"wait w{number} root", begin, begin + length, "waker=io for=Future")
        begin += length + 1
    head = bar("server GET", 0, begin) + bar("task root", 0, begin)
    place = {schema.CODE_FUNCTION: "fetch", schema.CODE_FILE: "/srv/app.py"}
    lines = {f"w{number}": {**place, schema.CODE_LINE: min(number, 3)} for number in range(len(lengths))}
    same = {
        name: {**one, schema.CODE_LINE: 9} if number < 3 else one for number, (name, one) in enumerate(lines.items())
    }
    assert (Situation.SERIAL_AWAITS in kinds(told(head + picture, same))) is is_told


@pytest.mark.parametrize(("step", "is_serial"), [("", True), (schema.STEP_BODY, False)])
def test_the_parts_of_one_answer_are_no_calls_one_after_another(step: str, *, is_serial: bool) -> None:
    call = {schema.FOR_CALL: "AsyncClient.get", schema.FOR_PACKAGE: "httpx", schema.FOR_STEP: step}
    found = in_turn([20] * 5, "SocketStream.receive", "io", **call)
    assert kinds(found)[0] == (Situation.SERIAL_AWAITS if is_serial else Situation.LARGE_ANSWER)
    assert ("waiting for AsyncClient.get (httpx): body of the answer, in fetch" in found.text) is not is_serial


@pytest.mark.parametrize(
    ("first_ms", "says"), [(0, "use its parts as they come"), (9, "the other side sets this pace")]
)
def test_who_passes_parts_on_already_is_not_told_to(first_ms: int, says: str) -> None:
    call = {schema.FOR_CALL: "Response.aiter_raw", schema.FOR_PACKAGE: "httpx", schema.FOR_STEP: schema.STEP_BODY}
    picture = """
    server GET          |--------------------|
    task   root         |--------------------|
    wait   w    root     |-------------------|    waker=io for=SocketStream.receive
"""
    found = told(picture, {"w": call, "root": {schema.FIRST_BYTE_NS: first_ms * MS} if first_ms else {}})
    assert says in found.remedy


@pytest.mark.parametrize(("package", "is_told"), [("redis", True), ("", False)])
def test_many_calls_of_one_library_one_after_another_are_round_trips(package: str, *, is_told: bool) -> None:
    begin = 2
    picture, more = "", dict[str, dict[str, Any]]()
    for number, call in enumerate(["watch", "get", "execute"] * 2):
        picture += bar(f"wait w{number} root", begin, begin + 20, "waker=io for=Future")
        more[f"w{number}"] = {
            schema.CODE_FUNCTION: "reserve", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9 + number % 3,
            schema.FOR_CALL: call, schema.FOR_PACKAGE: package,
        }  # fmt: skip
        begin += 21
    found = told(bar("server GET", 0, begin) + bar("task root", 0, begin) + picture, more)
    assert (Situation.SERIAL_AWAITS in kinds(found)) is is_told
    assert ("6 times per request, one after another, 120 ms in all: redis, by several calls" in found.text) is is_told
    assert ("in a script (EVAL)" in found.remedy) is is_told


@pytest.mark.parametrize(
    ("lengths", "awaited", "waker"),
    [([20, 20, 20], "sleep", "timer"), ([60, 2, 2, 3, 2], "get_page", "io"), ([20] * 5, "StreamReader.read", "io"),
     ([20] * 5, "SocketStream.receive", "io"), ([10, 20, 40], "get_page", "io"), ([60], "sleep", "timer")],
    ids=["too few", "one long and its short parts", "a stream read", "a stream received", "calls that grow", "one"],
)  # fmt: skip
def test_what_follows_from_one_another_is_no_such_case(lengths: list[int], awaited: str, waker: str) -> None:
    found = in_turn(lengths, awaited, waker)
    (kind,) = kinds(found)
    assert kind is (Situation.PAUSE if awaited == "sleep" else Situation.OTHER_SERVICE)
    assert key(found, Cause.AWAIT_IO) == f"await_io/{kind}"


SYNC_MIDDLEWARE = """
    server GET          |-------------------------------------------|
    task   root         |-------------------------------------------|
    wait   around root  |------------------------------------------|  waker=job for=SyncToAsync.__call__
    job    job  root    |------------------------------------------|
    run    run  job     |------------------------------------------|  cpu=0
    wait   s1   job     |-------------|                               type=blocking_io for=time.sleep
    wait   s2   job                   |-------------|                 type=blocking_io for=time.sleep
    wait   s3   job                                 |-------------|   type=blocking_io for=time.sleep
    task   one  root    |-------------|
    wait   w1   one     |-------------|                               waker=job for=SyncToAsync.__call__
    task   two  root    {begin}|  waker=job
    wait   w2   two     {begin}|                 waker=job for=SyncToAsync.__call__
"""


@pytest.mark.parametrize(
    ("begin", "remedy_key"), [("|" + "-" * 27, "sensitive_thread"), (" " * 14 + "|" + "-" * 13, "in_worker")]
)
def test_pieces_gathered_inside_a_synchronous_middleware_share_its_thread(begin: str, remedy_key: str) -> None:
    """Awaited one after another they would be no faster with more threads."""
    awaited = {schema.FOR_MODULE: "asgiref.sync"}
    found = told(SYNC_MIDDLEWARE.format(begin=begin), dict.fromkeys(("around", "w1", "w2"), awaited))
    assert key(found, Cause.BLOCKING_IO) == f"blocking_io/{remedy_key}"


@pytest.mark.parametrize(
    ("module", "awaited", "call", "remedy_key"),
    [
        ("uvicorn.protocols.websockets.websockets_sansio_impl", "WebSocketsSansIOProtocol.send", "", "/slow_reader"),
        ("aiohttp.base_protocol", "BaseProtocol._drain_helper", "WebSocketResponse.send_str", "/slow_reader"),
        ("aiohttp.base_protocol", "BaseProtocol._drain_helper", "StreamResponse.write", ""),
        ("uvicorn.protocols.http.flow_control", "FlowControl.drain", "", ""),
        ("websockets.asyncio.connection", "Connection.drain", "Connection.send", "/slow_reader"),
        ("asyncio.streams", "StreamWriter.drain", "", "/slow_reader"),
        ("asyncio.streams", "StreamWriter.drain", "Redis.execute_command", "/other_service"),
        ("websockets.asyncio.connection", "Assembler.get", "Connection.recv", "/other_service"),
        ("websockets.asyncio.connection", "Connection.send_context", "Connection.send", "/slow_reader"),
    ],
)
def test_a_message_waits_for_the_client_of_a_websocket(module: str, awaited: str, call: str, remedy_key: str) -> None:
    found = in_turn([40], awaited, "io", **{schema.FOR_MODULE: module, schema.FOR_CALL: call})
    (reason,) = found.judgement.reasons
    assert reason.remedy.key == reason.cause + remedy_key


@pytest.mark.parametrize(("function", "is_serial"), [("load", True), ("_next", False), ("QuerySet.get", True)])
def test_jobs_in_worker_threads_one_after_another(function: str, *, is_serial: bool) -> None:
    """The steps of a generator, which a streamed answer takes in threads, cannot run together."""
    picture, more = bar("server GET", 0, 90) + bar("task root", 0, 90), {}
    for number in range(4):
        begin, end = 2 + 22 * number, 22 + 22 * number
        picture += bar(f"wait w{number} root", begin, end, f"waker=job{number}") + bar(
            f"job job{number} root", begin, end
        )
        picture += bar(f"run r{number} job{number}", begin, end, "cpu=0")
        picture += bar(f"wait s{number} job{number}", begin, end, "type=blocking_io for=time.sleep")
        more[f"job{number}"] = {}
    spans = drawn(picture)
    spans["name"] = spans["name"].str.replace(r"^job\d$", f"job {function}", regex=True)
    (found,) = verdict(analyze(spans))
    assert (key(found, Cause.BLOCKING_IO) == "blocking_io/serial_awaits") == is_serial
    assert (f"4 times per request, one after another, 80.0 ms in all: {function}" in found.text) == is_serial
    assert ("gather over them does not help" in found.remedy) == (function == "QuerySet.get")


@pytest.mark.parametrize(("module", "key_of_it"), [("psycopg.waiting", "/database"), ("mine", "/time_limit")])
def test_a_call_that_waits_in_slices_is_one_turn(module: str, key_of_it: str) -> None:
    """The driver looks for an interrupt ten times a second."""
    at = {schema.FOR_MODULE: module, schema.FOR_CALL: "AsyncConnection.execute", schema.FOR_PACKAGE: "psycopg"}
    picture = bar("server GET", 0, 60) + bar("task root", 0, 60)
    for number in range(5):
        waker = "io" if number == 4 else "timer"
        picture += bar(f"wait w{number} root", 2 + 11 * number, 12 + 11 * number, f"waker={waker} for=wait_async")
    found = told(picture, dict.fromkeys(("w0", "w1", "w2", "w3", "w4"), at))
    assert key(found, Cause.AWAIT_IO) == f"await_io{key_of_it}"
    assert ("a timer" in found.text) == (module == "mine")


# --- limits ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("awaited", "module", "waker", "is_limit"),
    [("wait_for", "asyncio.tasks", "timer", True), ("Queue.get", "asyncio.queues", "timer", True),
     ("sleep", "asyncio.tasks", "timer", False), ("sleep_forever", "anyio._core._eventloop", "timer", False),
     ("wait_async", "psycopg.waiting", "timer", False), ("wait_for", "asyncio.tasks", "io", False), ("window", "batcher", "timer", False), ("read", "aiohttp.client", "timer", True)],
)  # fmt: skip
def test_a_time_limit_that_fired(awaited: str, module: str, waker: str, is_limit: bool) -> None:
    call = {schema.FOR_CALL: "ClientSession._request"} if module.startswith("aiohttp") else {}
    found = in_turn([50], awaited, waker, **{schema.FOR_MODULE: module}, **call)
    assert (Situation.TIME_LIMIT in kinds(found)) == is_limit
    said = "A time limit of about 50.0 ms ended the wait in fetch (srv/app.py:9): requests 1, failed 0."
    assert (said in found.text) == is_limit
    assert ("does not come within its time limit" in found.remedy) == is_limit


CUT = """
    server GET         |------------------------|
    task   root        |------------------------|
    task   inner root   |-----------------------|
    wait   outer root   |--------------------|      waker=timer for=wait_for
    wait   place inner    |--------------------|    waker=root for=Semaphore.acquire
"""


@pytest.mark.parametrize(
    ("outcome", "awaited", "module", "cause"),
    [("cancelled", "Semaphore.acquire", "asyncio.locks", Cause.LIMITER_WAIT),
     ("cancelled", "Queue.get", "asyncio.queues", Cause.AWAIT_IO), ("ok", "Semaphore.acquire", "asyncio.locks", Cause.AWAIT_IO)],
)  # fmt: skip
def test_a_limit_that_a_time_limit_ended_in_a_task_of_its_own(
    outcome: str, awaited: str, module: str, cause: Cause
) -> None:
    at = {schema.CODE_FUNCTION: "charge", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    begun = {schema.CODE_FUNCTION: "reserve", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 3}
    more = {"inner": {schema.OUTCOME: outcome} | begun, "outer": {**at, schema.FOR_MODULE: "asyncio.tasks"}}
    found = told(CUT, {**more, "place": {**at, schema.FOR: awaited, schema.FOR_MODULE: module}})
    (reason,) = found.judgement.reasons
    assert (reason.cause, reason.remedy.key) == (cause, f"{cause}/time_limit")
    assert ("after an error too (`async with`" in found.remedy) is (cause is Cause.LIMITER_WAIT)
    if outcome == "ok":  # as under a shield: it goes on
        assert "What is awaited in charge (srv/app.py:9), reserve (srv/app.py:3), does not come" in found.remedy


def test_a_place_of_a_client_that_has_gone_was_ended_by_no_time_limit() -> None:
    """Its server's task group cancels the task that streams the answer: no timer of the service's fired."""
    at = {schema.CODE_FUNCTION: "tokens", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}
    place = {**at, schema.FOR: "Semaphore.acquire", schema.FOR_MODULE: "asyncio.locks"}
    picture = CUT.replace("waker=timer for=wait_for", "waker=io for=receive")
    found = told(picture, {"inner": {schema.OUTCOME: "cancelled"}, "outer": at, "place": place})
    assert Situation.TIME_LIMIT not in kinds(found)


@pytest.mark.parametrize(("awaited", "is_signal"), [("Barrier.wait", True), ("Condition.wait", False)])
def test_who_meets_at_a_barrier_waits_for_no_limit(awaited: str, *, is_signal: bool) -> None:
    found = told("""
        server GET          |------------------|
        task   root         |------------------|
        wait   w    root      |-------------|     waker=last
        server LAST         |------------------|  trace=b
        task   last         |------------------|  trace=b
        wait   own  last     |-------------|      waker=timer trace=b
    """, {"w": {schema.FOR: awaited, schema.FOR_MODULE: "asyncio.locks"},
          "own": {schema.CODE_FUNCTION: "prepare", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 4}})  # fmt: skip
    assert (key(found, Cause.LIMITER_WAIT) == "limiter_wait/signal") is is_signal
    assert ("so the last one sets the time" in found.remedy) is is_signal
    assert "timer: sleep in prepare" in found.text or "in prepare (srv/app.py:4)" in found.text


@pytest.mark.parametrize("awaited", [("Queue.get", "asyncio.queues"), ("wait_for", "asyncio.tasks")])
@pytest.mark.parametrize(("earlier", "cause"), [("", Cause.AWAIT_IO), ("|-----|", Cause.LIMITER_WAIT)])
def test_who_waits_until_a_later_request_comes_is_behind_nobody(
    earlier: str, cause: Cause, awaited: tuple[str, str]
) -> None:
    picture = """
        server GET          |------------------|
        task   root         |------------------|
        wait   w    root      |-------------|     waker=gives
        server LATE                         |--|  trace=b
        task   gives                        |--|  trace=b
    """ + (f"    server EARLY        {earlier}              trace=c" if earlier else "")
    place = {schema.CODE_FUNCTION: "next_event", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 4}
    spans = drawn(picture, {"w": {schema.FOR: awaited[0], schema.FOR_MODULE: awaited[1], **place}})
    found = next(one for one in verdict(analyze(spans.replace({"name": {"EARLY": "LATE"}}))) if one.endpoint == "GET")
    (reason,) = found.judgement.reasons
    assert reason.cause is cause
    is_later = cause is Cause.AWAIT_IO
    assert (f"{awaited[0]} in next_event (srv/app.py:4), until LATE came" in found.text) is is_later
    assert (reason.remedy.key == "await_io/signal") is is_later


def test_who_waits_until_a_task_of_no_request_comes_is_behind_nobody() -> None:
    """As a stream of events waits in a queue of its own for what a scheduler's job sends now and then."""
    facts = {schema.WAKER_NAME: "publish", schema.FOR_MODULE: "asyncio.queues"}
    found = in_turn([100, 90], "Queue.get", "unknown", **facts)
    assert key(found, Cause.AWAIT_IO) == "await_io/signal"
    assert "each waits until a task of no request (publish) comes" in found.remedy


def test_what_a_request_gives_itself_is_no_limit() -> None:
    found = in_turn(
        [100], "Queue.get", "activity", **{schema.WAKER_SPAN_ID: f"{77:016x}", schema.FOR_MODULE: "asyncio.queues"}
    )
    assert [one.cause for one in found.judgement.reasons] == [Cause.AWAIT_IO]


def test_a_time_limit_where_later_requests_give_what_is_awaited_is_meant() -> None:
    place = {schema.CODE_FUNCTION: "next_event", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 4}
    at = {schema.FOR: "wait_for", schema.FOR_MODULE: "asyncio.tasks", **place}
    found = told("""
        server GET          |------------------|
        task   root         |------------------|
        wait   w    root      |-------|           waker=gives
        wait   v    root               |-----|    waker=timer
        server LATE                   |--|        trace=b
        task   gives  LATE            |--|        trace=b
    """, {"w": at, "v": at, "gives": {schema.ROOT: True}})  # fmt: skip
    assert key(found, Cause.AWAIT_IO) == "await_io/signal"
    assert "each waits until LATE comes" in found.remedy


@pytest.mark.parametrize("in_call", [schema.LOCK_NS, schema.CALL_NS])
def test_a_lock_of_another_process_stops_the_loop(in_call: str) -> None:
    call = {schema.FOR_CALL: "SemLock.__enter__", schema.FOR_PACKAGE: "multiprocessing", schema.CALL: "futex"}
    found = told("""
        server GET          |------------------|
        task   root         |------------------|
        block  b    root      |-------------|    cpu=0
    """, {"b": {in_call: 14 * MS, schema.SAMPLES: 9, **call}})  # fmt: skip
    is_lock = in_call == schema.LOCK_NS
    assert (key(found, Cause.LOCK_WAIT) == "lock_wait/blocks_loop") is is_lock
    assert (
        "in an untraced lock of SemLock.__enter__ (multiprocessing), or waiting for native" in found.text
    ) is is_lock


@pytest.mark.parametrize(("awaited", "is_signal"), [("queue.Queue.put", True), ("time.sleep", False)])
def test_a_handler_whose_queue_is_full_is_one_that_queues_already(awaited: str, *, is_signal: bool) -> None:
    found = told("""
        server GET          |------------------|
        task   root         |------------------|
        wait   w    root      |-------------|    type=logging_wait
    """, {"w": {schema.FOR: awaited, schema.HANDLER: "Patient"}})  # fmt: skip
    assert (key(found, Cause.LOGGING_WAIT) == "logging_wait/signal") is is_signal
    assert ("QueueHandler, and log less" in found.remedy) is not is_signal


@pytest.mark.parametrize(("call", "is_window"), [({}, True), ({schema.FOR_CALL: "ClientSession._request"}, False)])
def test_a_time_limit_of_a_task_that_serves_requests_is_a_window(call: dict[str, str], is_window: bool) -> None:
    task = {schema.FOR_MODULE: "asyncio.tasks", schema.FOR_TASK: "batcher"}
    found = in_turn([50], "wait_for", "timer", **task, **call)
    assert (Situation.WINDOW in kinds(found), Situation.TIME_LIMIT in kinds(found)) == (is_window, not is_window)
    assert ("batcher lets this time pass while requests wait for it already" in found.remedy) == is_window


@pytest.mark.parametrize("several", [True, False])
def test_a_call_put_off_until_several_requests_wait_for_it_is_a_window(*, several: bool) -> None:
    """`loop.call_later` begins a task that answers the request that set it, and those that came meanwhile."""
    at = {schema.FOR: "Batcher.submit", schema.FOR_MODULE: "app", schema.CODE_FUNCTION: "Batcher.submit",
          schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 9}  # fmt: skip
    by = {schema.WAKER_TRACE_ID: trace_id("a"), schema.WAKER_SPAN_ID: f"{5:016x}"} if several else {}
    spans = drawn(f"""
        server GET    |--------------------------|
        task   root   |--------------------------|
        wait   w1 root |------------------|           type=await waker=timer
        wait   w2 root                    |-----|     type=await waker=flush
        task   flush root                 |-----|     cpu=5
        server OTHER       |---------------------|    trace=b
        task   root2       |---------------------|    trace=b
        wait   w3 root2     |-------------------|     trace=b type=await waker={"activity" if several else "io"}
    """, {"w1": at, "w2": at, "w3": at | by})  # fmt: skip
    spans["name"] = spans["name"].replace("OTHER", "GET")
    (found,) = verdict(analyze(spans))
    assert (key(found, Cause.AWAIT_IO) == "await_io/window") is several
    assert ("A window: loop.call_later waits 19.0 ms in Batcher.submit (srv/app.py:9)" in found.text) is several


@pytest.mark.parametrize("goes_on", [True, False])
def test_a_request_alone_waits_for_the_whole_window(*, goes_on: bool) -> None:
    """After a time limit of its own, as of `asyncio.timeout`, it does not wait on."""
    at = {schema.FOR: "Batcher.submit", schema.FOR_MODULE: "app", schema.CODE_FUNCTION: "Batcher.submit"}
    found = told(f"""
        server GET    |--------------------------|
        task   root   |--------------------------|
        wait   w1 root |------------------|           type=await waker=timer
        {"wait   w2 root                    |-----|     type=await waker=flush" * goes_on}
        task   flush root                 |-----|     cpu=5
    """, {"w1": at} | ({"w2": at} if goes_on else {}))  # fmt: skip
    assert (key(found, Cause.AWAIT_IO) == "await_io/window") is goes_on


def items(
    count: int, places: int, own: bool = True, awaited: str = "Queue.get", of: Mapping[str, Any] | None = None,
    about: Mapping[str, Any] | None = None,
) -> Verdict:  # fmt: skip
    """Return the verdict on a request whose tasks take 10 ms each, `places` at a time."""
    rounds = -(-count // places)
    picture, more = bar("server GET", 0, 10 * rounds + 1) + bar("task root", 0, 10 * rounds + 1), {}
    picture += bar("wait all root", 0, 10 * rounds, f"waker=i{count - 1}")
    for number in range(count):
        begin = 10 * (number // places)
        picture += bar(f"task i{number} root", 0, begin + 10)
        more[f"i{number}"] = of or {}
        if begin:
            waker = f"waker=i{number - places}" if own else "waker=io"
            picture += bar(f"wait q{number} i{number}", 0, begin, f"{waker} for={awaited}")
            more[f"q{number}"] = {
                schema.FOR_MODULE: "asyncio.queues" if awaited == "Queue.get" else "asyncio.locks",
                schema.CODE_FILE: "/srv/app.py",
                schema.CODE_LINE: 5,
                **(about or {}),
            }
        picture += bar(f"wait s{number} i{number}", begin, begin + 10, "waker=timer for=sleep")
    spans = drawn(picture, more)
    spans["name"] = spans["name"].str.replace(r"^i\d+$", "task item", regex=True)
    (found,) = verdict(analyze(spans))
    return found


def test_a_limit_inside_one_request() -> None:
    found = items(12, 3)
    assert "12 of item went through 3 at a time (Queue.get in srv/app.py:5); the last one waited 30.0 ms" in found.text
    assert key(found, Cause.AWAIT_IO) == "await_io/inner_limit"
    assert found.remedy.startswith("Raise the limit on Queue.get in srv/app.py:5")


def test_a_lock_inside_one_request_has_no_limit_to_raise() -> None:
    found = items(12, 1, awaited="Lock.acquire")
    assert "12 of item went through 1 at a time (Lock.acquire in srv/app.py:5)" in found.text
    assert "or ask less) under Lock.acquire in srv/app.py:5: 12 of item go through 1 at a time" in found.remedy
    assert "Raise the limit" not in found.remedy


def test_resolvers_that_ask_a_database_one_by_one_are_to_ask_once() -> None:
    of = {schema.CODE_FILE: "/v/site-packages/graphql/execution.py", schema.CODE_FUNCTION: "complete"}
    about = {
        schema.FOR_CALL: "Pool.acquire", schema.FOR_PACKAGE: "asyncpg", schema.CALLERS: ["Order.lines (srv/types.py)"]
    }  # fmt: skip
    found = items(12, 3, of=of, about=about)
    assert "12 of Order.lines (srv/types.py) went through 3 at a time" in found.text
    assert found.remedy.startswith("Ask the database once for all of them")


@pytest.mark.parametrize(("count", "places", "own"), [(12, 12, True), (5, 3, True), (3, 1, True), (12, 3, False)],
                         ids=["places for all", "nearly for all", "few", "ended by a socket"])  # fmt: skip
def test_no_limit_inside_one_request(count: int, places: int, own: bool) -> None:
    assert Situation.INNER_LIMIT not in kinds(items(count, places, own))


def test_nobody_takes_an_event() -> None:
    """As where each part of an answer is told by one."""
    assert Situation.INNER_LIMIT not in kinds(items(12, 3, awaited="Event.wait"))


CYCLE = """
    server GET        |--------------------|
    task   root       |--------------------|
    wait   token root |-------------------|          type=limiter_wait
    server OTHER      |---------------|              trace=b
    task   root2      |---------------|              trace=b
    wait   w2  root2  |---------------|              trace=b type=await waker=enter
    job    enter root2 |--------------|              trace=b
    run    run2 enter |---------------|              trace=b cpu=0
    wait   lock enter |--------------|               trace=b type=lock_wait {ended}
"""


def test_a_handler_that_pauses_while_the_loop_waits_is_no_cycle() -> None:
    handler = {schema.HANDLER: "Collector.emit", schema.CODE_FUNCTION: "emit", schema.CODE_FILE: "/srv/logs.py"}
    picture = (
        BLOCKED_LOOP.format(cpu=0) + "    wait held theirs     |-----------|    trace=b type=logging_wait waker=timer"
    )
    found = told(picture, {"b": {**BLOCKED, schema.BLOCKER_SPAN_ID: f"{5:016x}"}, "held": handler})
    assert Situation.WAIT_CYCLE not in kinds(found)
    assert key(found, Cause.LOOP_BUSY) == "loop_busy/holders_queue"
    assert INFO[Cause.LOGGING_WAIT].remedy in found.remedy


@pytest.mark.parametrize(("ended", "cycle"), [("waker=timer", True), ("", False)], ids=["never released", "released"])
def test_a_cycle_of_waits_and_its_members(ended: str, cycle: bool) -> None:
    anyio = {schema.POOL_NAME: "anyio", schema.POOL_SIZE: 4}
    at = {schema.OCCUPANT_SPAN_IDS: [f"{7:016x}"], schema.OCCUPANT_NAMES: ["enter"], schema.OCCUPANT_NS: [19 * MS]}
    lock = {schema.LOCK_KIND: "Semaphore", schema.LOCK_FILE: "/srv/db.py", schema.LOCK_LINE: 8}
    found = told(CYCLE.format(ended=ended), {"token": {**OCCUPIED, **anyio, **at}, "lock": lock})
    assert key(found, Cause.LIMITER_WAIT) == f"limiter_wait/{'wait_cycle' if cycle else 'holders_queue'}"
    assert ("A cycle of waits" in found.text) == cycle
    if cycle:
        assert "A cycle of waits: a token of pool 'anyio' (4 workers), and Semaphore made at" in found.situations[0]
        assert "nobody released the latter within its time limit" in found.situations[0]
        assert "Semaphore made at srv/db.py:8" in found.situations[0]
    else:
        assert "Semaphore made at srv/db.py:8" in found.remedy


@pytest.mark.parametrize(("call", "is_pace"), [("time.sleep", True), ("socket.recv", False)])
def test_a_pause_while_a_limit_is_held_may_be_a_rate(call: str, *, is_pace: bool) -> None:
    found = queued(schema.WAIT_POOL_QUEUE, WAITING.replace("time.sleep", call), OCCUPIED)
    assert key(found, Cause.POOL_QUEUE) == "pool_queue/holders_wait"
    assert ("where it keeps to a rate, they wait for the rate" in found.remedy) is is_pace


# --- hops between threads ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("count", "computed", "wanted", "of_computing"),
    [(4_000, 200, "loop_wakeup/thread_hops", True), (4_000, 900, "loop_wakeup/thread_hops", False), (15, 200, "loop_wakeup", False),
     (60, 400, "loop_wakeup/thread_hops", True), (60, 700, "loop_wakeup/thread_hops", False)],
)  # fmt: skip
def test_thread_hops_of_one_answer(count: int, computed: int, wanted: str, of_computing: bool) -> None:
    given = analysis_of({"GET": [{"loop_wakeup": 300, "unexplained": 300, "compute": computed}] * 3},
                        jobs={"GET": [{schema.COUNT: count, "name": "_next"}]})  # fmt: skip
    (found,) = verdict(given)
    hops = remedy(Cause.COMPUTE, found.judgement.situations).key == "compute/thread_hops"
    assert hops == of_computing
    assert key(found, Cause.LOOP_WAKEUP) == wanted
    hopped = any(
        f"{count:,} jobs of _next (a generator's step) a request" in one.remedy.text for one in found.judgement.reasons
    )
    assert hopped == (wanted != "loop_wakeup")


# --- requests that differ from the mean -------------------------------------------------------------
def over_time(walls: list[dict[str, float]], **more: Any) -> list[Pattern]:
    (one,) = judge(analysis_of({"GET": walls}, **more))
    return [found for found in one.situations if found.kind in (Situation.COLD_START, Situation.SLOWEST_DIFFER)]


USUAL: dict[str, float] = {"await_io": 20, "compute": 5}


def test_the_first_requests_of_a_process_are_told_apart() -> None:
    (found,) = over_time([{"compute": 900, "await_io": 20}, *[USUAL] * 15])
    (told_,) = verdict(analysis_of({"GET": [{"compute": 900, "await_io": 20}, *[USUAL] * 15]}))
    assert found.kind is Situation.COLD_START
    said = (
        "Cold start: the first 1 request took 920 ms on average, those after 25.0 ms: computing (). Do that at start-up"
    )
    assert said in told_.text
    assert remedy(Cause.COMPUTE, (found,)).key == "compute/cold_start"


@pytest.mark.parametrize(
    "walls",
    [[USUAL] * 16, [*[USUAL] * 15, {"compute": 900}], [{"compute": 900}, *[USUAL] * 5],
     [{"compute": 900}, USUAL, {"compute": 900}, *[USUAL] * 8, *[{"compute": 900.0}] * 9], [{"compute": 40}, *[USUAL] * 15],
     [{"loop_busy": 2300, "compute": 5}, *[{"loop_busy": 400.0, "compute": 200.0}] * 15],
     [{"cpu_wait": 900, "compute": 5}, *[USUAL] * 15], [{"await_io": 900.0}, *[USUAL] * 11, *[{"await_io": 900.0}] * 8],
     [*[{"compute": 900}] * 2, *([USUAL] * 7 + [{"compute": 950}]) * 12],
     [*[{"loop_busy": 200}] * 3, *[USUAL] * 50, *[{"loop_busy": 150.0}] * 3, *[USUAL] * 50]],
    ids=["all alike", "the last", "too few", "now and then", "hardly slower", "served last", "without a CPU", "later too", "by chance",
         "behind what others wait for later"],
)  # fmt: skip
def test_no_cold_start(walls: list[dict[str, float]]) -> None:
    assert Situation.COLD_START not in [found.kind for found in over_time(walls)]


@pytest.mark.parametrize("turns", [{}, {schema.FOR_TASK: "worker", schema.FOR_TURNS: 9}])
def test_who_came_first_to_a_full_queue_had_no_cold_start(turns: dict[str, Any]) -> None:
    picture, more, at = "", {}, 0
    for number in range(20):
        until, trace = at + (300 if number == 0 else 30), f"trace={chr(ord('a') + number)}"
        picture += bar(f"server S{number}", at, until, trace) + bar(f"task root{number} S{number}", at, until, trace)
        picture += bar(f"wait w{number} root{number}", at + 1, until - 1, f"waker=timer {trace}")
        more[f"w{number}"] = {schema.FOR: "sleep", **turns}
        at = until + 5
    (found,) = verdict(analyze(drawn(picture, more).replace({"name": r"^S\d+$"}, "GET", regex=True)))
    assert (Situation.COLD_START in kinds(found)) == (not turns)


def test_the_first_requests_that_waited_for_one_event_are_one_case() -> None:
    given = analysis_of({"GET": [{"await_io": 900.0}] * 4 + ([USUAL] * 7 + [{"await_io": 950.0}]) * 6})
    together = given.requests.assign(start_ns=given.requests["start_ns"].clip(lower=given.requests["start_ns"].iloc[3]))
    for requests, cold in ((given.requests, True), (together, False)):
        (one,) = judge(replace(given, requests=requests))
        assert (Situation.COLD_START in [found.kind for found in one.situations]) is cold


def test_the_cause_of_the_slowest_is_told_where_it_is_another() -> None:
    walls = [{"await_io": 60, "compute": 5}] * 72 + [{"lock_wait": 400, "compute": 5}] * 8
    given = analysis_of({"GET": walls[::-1]}, culprits={"lock_wait": Culprit("write", "/srv/app.py", 7)})
    (found,) = verdict(given)
    assert found.judgement.reasons[0].cause is Cause.AWAIT_IO
    (said,) = (one for one in found.situations if "The slowest" in one)
    assert "400 ms of the p95, 405 ms, passed waiting for a lock, blocked by write (srv/app.py:7)" in said
    assert INFO[Cause.LOCK_WAIT].remedy in said


def test_the_remedy_of_the_slowest_is_not_told_again_where_the_second_reason_told_it() -> None:
    walls = [{"await_io": 60, "lock_wait": 5}] * 72 + [{"lock_wait": 400, "await_io": 5}] * 8
    (found,) = verdict(analysis_of({"GET": walls[::-1]}))
    assert [one.cause for one in found.judgement.reasons] == [Cause.AWAIT_IO, Cause.LOCK_WAIT]
    assert "The slowest requests have another cause" in found.text
    assert found.text.count(INFO[Cause.LOCK_WAIT].remedy) == 1


@pytest.mark.parametrize(
    "walls",
    [[{"await_io": 60.0, "lock_wait": 20}] * 80, [{"await_io": 60.0}] * 72 + [{"await_io": 400.0}] * 8,
     [{"await_io": 60.0}] * 9 + [{"lock_wait": 400.0}], [{"await_io": 60.0}] * 78 + [{"lock_wait": 400.0}] * 2],
    ids=["the same for all", "more of the same", "too few", "beyond the p95"],
)  # fmt: skip
def test_the_slowest_are_as_the_others(walls: list[dict[str, float]]) -> None:
    assert Situation.SLOWEST_DIFFER not in [found.kind for found in over_time(walls)]


# --- nothing --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "amounts",
    [{"compute": 30, "await_io": 0.5}, {"compute": 99, "pool_queue": 0.9, "lock_wait": 0.9}, {"compute": 0.4}],
)
def test_a_healthy_service_gets_no_advice(amounts: dict[str, float]) -> None:
    (found,) = verdict(analysis_of({"GET": [amounts] * 30}))
    assert (found.remedy, found.situations, found.reasons) == ("", (), ())


def test_every_sentence_can_be_made() -> None:
    assert worded(judge(analysis_of({"GET": [{"pool_queue": 50}] * 3}))[0]).text


def test_without_a_detail_no_empty_parentheses_are_left() -> None:
    found = Pattern(Situation.HOLDERS_COMPUTE, Cause.LOOP_BUSY, {"doing": "", "share": 1.0, "how": "Move it."})
    assert remedy(Cause.LOOP_BUSY, (found,)).text == "It computes on the loop. Move it."


def test_a_template_that_asks_the_database_is_to_get_all_with_its_rows() -> None:
    asks = {schema.CALL: "poll", schema.CALL_OF: "render", schema.CALL_PACKAGE: "django"}
    assert "select_related" in faster("thread", "order_list", "/srv/views.py", asks)
    assert "select_related" in in_thread(asks)
    assert "select_related" not in faster("thread", "order_list", "/srv/views.py", {**asks, schema.CALL_OF: "loads"})


@pytest.mark.parametrize(
    ("table", "call", "words"),
    [
        (NATIVE, "argon2.PasswordHasher.verify", "parallelism=1"),
        (NATIVE, "", "OMP_NUM_THREADS=1"),
        (KEPT, "httpx.AsyncClient.get", "keepalive_expiry of httpx.Limits"),
        (KEPT, "aiosmtplib.send", "so that it keeps its connections"),
    ],
)
def test_settings_are_those_of_the_library_that_was_called(table: Table, call: str, words: str) -> None:
    assert words in look_up(table, call)
    assert ("httpx" in look_up(table, call)) == call.startswith("httpx")
