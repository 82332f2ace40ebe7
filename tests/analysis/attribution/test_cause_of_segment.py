"""One drawing for each cause: what the tracer saw, and whose time it is said to be."""

import pandas as pd
import pytest

from tests.analysis.drawing import UNIT_NS, drawn, shown, trace_id
from whywait import analysis
from whywait.analysis.attribution.segment_rules import RULES
from whywait.analysis.causes import Cause
from whywait.analysis.verdicts.judgement import judge
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer import schema


def causes(picture: str, more: dict[str, dict[str, object]] | None = None) -> pd.DataFrame:
    return analysis.attribute(drawn(picture, more))


def only(table: pd.DataFrame, cause: str) -> pd.Series:
    rows = table[table["cause"] == cause]
    assert len(rows) == 1, table
    return rows.iloc[0]


def test_a_connection_is_blocked_by_the_request_that_has_it() -> None:
    table = causes(
        """
        server GET         |----------|
        task   root GET    |----------|  cpu=5
        wait   w    root     |-----|     type=connection_wait
    """,
        {
            "w": {
                schema.OCCUPANT_NAMES: ["report"], schema.OCCUPANT_FILES: ["/srv/app.py"], schema.OCCUPANT_LINES: [7], schema.OCCUPANT_TRACE_IDS: [trace_id("c")],
                schema.OCCUPANT_SPAN_IDS: ["7" * 16], schema.OCCUPANT_NS: [6 * UNIT_NS],
                schema.POOL_NAME: "orders", schema.POOL_SIZE: 2, schema.POOL_FILE: "/srv/app.py", schema.POOL_LINE: 3,
            }
        },
    )  # fmt: skip
    row = only(table, "connection_wait")
    assert row["amount_ns"] == 6 * UNIT_NS
    assert (row["detail"], row["evidence"]) == ("orders, 2 connections, made at srv/app.py:3", "observed")
    assert (row["culprit"], row["culprit_trace_id"]) == ("report", trace_id("c"))
    assert (row["culprit_file"], row["culprit_line"]) == ("/srv/app.py", 7)


def test_running_on_the_loop_is_compute_as_far_as_the_cpu_was_used() -> None:
    table = causes("""
        server GET       |--------|
        task   root GET  |--------|   cpu=5
    """)
    assert shown(table) == [(0, 5, "compute", "root"), (5, 9, "unexplained", "root")]
    assert not table["placed"].any()
    assert set(table["evidence"]) == {"observed"}
    assert table["culprit"].tolist() == ["root", ""]


def test_without_cpu_time_running_on_the_loop_is_only_inferred_to_be_compute() -> None:
    table = causes("""
        server GET       |--------|
        task   root GET  |--------|
    """)
    assert shown(table) == [(0, 9, "compute", "root")]
    assert table["evidence"].tolist() == ["inferred"]


def test_a_job_divides_into_queue_cpu_run_queue_and_rest() -> None:
    table = causes(
        """
        server GET         |-------------------|
        task   root GET    |-------------------|  cpu=4
        wait   w    root     |--------------|     waker=job
        job    job  root     |----------------|
        wait   q    job      |-----|              type=pool_queue
        run    run  job            |--------|     cpu=5 rq=1
    """,
        {
            "q": {
                schema.OCCUPANT_NAMES: ["one", "two"], schema.OCCUPANT_TRACE_IDS: ["", trace_id("c")],
                schema.OCCUPANT_SPAN_IDS: ["", "7" * 16], schema.OCCUPANT_NS: [2 * UNIT_NS, 4 * UNIT_NS],
                schema.POOL_NAME: "predict", schema.POOL_SIZE: 2,
            }
        },
    )  # fmt: skip
    assert [row for row in shown(table) if row[3] in ("q", "run")] == [
        (2, 8, "pool_queue", "q"), (8, 13, "compute", "run"), (13, 14, "cpu_wait", "run"),
        (14, 17, "unexplained", "run"),
    ]  # fmt: skip
    queue = only(table, "pool_queue")
    assert (queue["culprit"], queue["culprit_ns"], queue["culprit_trace_id"]) == ("two", 4 * UNIT_NS, trace_id("c"))
    assert queue["detail"] == "pool 'predict' (2 workers)"


def test_all_who_held_the_pool_are_listed_and_share_a_part_of_the_wait() -> None:
    # root was only delayed from 5 on: the foreign job's queue before that is not its business
    result = analysis.analyze(
        drawn(
            """
        server GET             |-------------|
        task   root GET        |-------------|   cpu=8
        wait   w    root            |------|      waker=job
        server POST        |------------------|  trace=b
        task   other POST  |------------------|  trace=b
        job    job  other  |---------------|     trace=b
        wait   q    job    |-------------|       trace=b type=pool_queue
        run    run  job                  |-|     trace=b cpu=2
    """,
            {
                "q": {
                    schema.OCCUPANT_NAMES: ["one", "two"], schema.OCCUPANT_TRACE_IDS: ["", ""],
                    schema.OCCUPANT_SPAN_IDS: ["", ""], schema.OCCUPANT_NS: [10 * UNIT_NS, 4 * UNIT_NS],
                }
            },
        )
    )  # fmt: skip
    mine = result.culprits[(result.culprits["cause"] == "pool_queue")]
    mine = mine[mine["trace_id"] == trace_id("a")]
    # 5 of the wait's 14 units lie on the path; the two shared it 10 to 4
    assert mine["culprit"].tolist() == ["one", "two"]
    assert mine["ns"].sum() == 5 * UNIT_NS
    assert mine["ns"].tolist() == [round(5 * UNIT_NS * 10 / 14), round(5 * UNIT_NS * 4 / 14)]


def test_a_loop_that_ran_something_else_is_named_with_its_request() -> None:
    table = causes(
        """
        server GET         |-------------------|
        task   root GET    |-------------------|  cpu=4
        wait   w    root     |------|             waker=job
        job    job  root     |------|
        run    run  job      |------|             cpu=7
        wait   busy root            |--------|    type=loop_busy
    """,
        {
            "busy": {
                schema.BLOCKER_FUNCTION: "slow", schema.BLOCKER_FILE: "app.py", schema.BLOCKER_LINE: 30,
                schema.BLOCKER_TRACE_ID: trace_id("c"), schema.BLOCKER_SPAN_ID: "9" * 16,
                schema.BLOCKER_NS: 8 * UNIT_NS,
            }
        },
    )  # fmt: skip
    busy = only(table, "loop_busy")
    assert busy["amount_ns"] == 9 * UNIT_NS
    assert busy["culprit_ns"] == 8 * UNIT_NS
    assert (busy["culprit"], busy["culprit_file"], busy["culprit_line"]) == ("slow", "app.py", 30)
    assert (busy["culprit_trace_id"], busy["culprit_span_id"]) == (trace_id("c"), "9" * 16)
    assert busy["detail"] == "the loop ran slow (app.py:30)"


@pytest.mark.parametrize(
    ("run", "count", "cause", "detail"),
    [
        (9, 1, "compute", "running crunch (app.py:30)"),
        (7, 1, "loop_busy", "the loop ran crunch (app.py:30)"),
        (4, 2, "compute", "running crunch (app.py:30)"),
    ],
    ids=["a_step_of_the_task", "a_callback_in_its_context", "steps_of_two_like_tasks"],
)
def test_what_the_request_itself_ran_on_the_loop_is_its_own_only_in_a_step(
    run: int, count: int, cause: str, detail: str
) -> None:
    table = causes(
        """
        server GET         |-------------------|
        task   root GET    |-------------------|  cpu=1
        wait   w    root   |---------|            waker=part
        task   part root   |---------|
        task   other root  |---------|
        wait   busy part   |--------|             type=loop_busy
    """
        + "task   other root  |---------|\n".rjust(39) * (count - 1),
        {
            "other": {schema.RUN_NS: run * UNIT_NS, schema.CPU_NS: run * UNIT_NS},
            "busy": {
                schema.BLOCKER_FUNCTION: "crunch", schema.BLOCKER_FILE: "app.py", schema.BLOCKER_LINE: 30,
                schema.BLOCKER_TRACE_ID: trace_id("a"), schema.BLOCKER_SPAN_ID: f"{5:016x}",
                schema.BLOCKER_NS: 8 * UNIT_NS, schema.BLOCKER_COUNT: count,
            },
        },
    )  # fmt: skip
    told = table[table["detail"] == detail]
    assert (told["cause"].tolist(), told["amount_ns"].sum()) == ([cause], 9 * UNIT_NS), table


@pytest.mark.parametrize(
    ("kind", "cause"),
    [
        ("pool_queue", "pool_queue"), ("pool_startup", "pool_startup"), ("pool_shutdown", "pool_shutdown"),
        ("limiter_wait", "limiter_wait"), ("loop_busy", "loop_busy"), ("loop_wakeup", "loop_wakeup"),
        ("gc_pause", "gc_pause"), ("collect_order", "collect_order"), ("lock_wait", "lock_wait"),
        ("logging_wait", "logging_wait"), ("blocking_io", "blocking_io"), ("resume", "unexplained"),
        ("pool_handover", "unexplained"),
        ("never heard of", "unexplained"),
    ],
)  # fmt: skip
def test_a_wait_by_its_type(kind: str, cause: str) -> None:
    table = causes(
        """
        server GET        |-----------|
        task   root GET   |-----------|  cpu=6
        wait   w    root    |----|
    """,
        {"w": {schema.WAIT: kind}},
    )
    row = table[table["span_name"] == "w"].iloc[0]
    assert (row["cause"], row["amount_ns"], row["evidence"]) == (cause, 5 * UNIT_NS, "observed")


@pytest.mark.parametrize("kind", ["resume", "pool_handover"])
@pytest.mark.parametrize(
    ("summed", "pool", "cause"),
    [
        (True, "anyio", "loop_wakeup"),
        (False, "anyio", "unexplained"),
        (True, schema.POOL_NAME_PROCESSES, "unexplained"),
    ],
)
def test_many_short_changes_of_threads_are_wakings(kind: str, summed: bool, pool: str, cause: str) -> None:
    """Of summed jobs each was as short as the waking of a thread; one long wait of that kind is not explained by it."""
    table = causes(
        """
        server GET        |-----------|
        task   root GET   |-----------|  cpu=6
        wait   w    root    |----|
    """,
        {"w": {schema.WAIT: kind, schema.POOL_NAME: pool} | ({schema.EVIDENCE: "inferred"} if summed else {})},
    )
    row = table[table["span_name"] == "w"].iloc[0]
    assert (row["cause"], row["amount_ns"]) == (cause, 5 * UNIT_NS)


@pytest.mark.parametrize(
    ("waker", "awaited", "module", "cause"),
    [
        ("timer", "asyncio.sleep", "asyncio.tasks", "await_io"),
        ("io", "StreamReader.read", "asyncio.streams", "await_io"),
        ("unknown", "asyncio.locks.Semaphore.acquire", "asyncio.locks", "limiter_wait"),
        ("activity", "asyncio.queues.Queue.get", "asyncio.queues", "limiter_wait"),
        ("unknown", "Lock.acquire", "asyncio.locks", "limiter_wait"),
        ("io", "Lock.acquire", "asyncio.locks", "limiter_wait"),
        ("io", "Event.wait", "asyncio.locks", "await_io"),
        ("timer", "Queue.get", "asyncio.queues", "await_io"),
        ("thread", "Condition.wait", "asyncio.locks", "unexplained"),
        ("unknown", "anyio._core._synchronization.CapacityLimiter.acquire", "", "limiter_wait"),
        ("io", "uvicorn.protocols.http.h11_impl.RequestResponseCycle.receive", "", "request_io"),
        ("io", "starlette.requests.Request.body", "", "request_io"),
        ("thread", "Future", "asyncio", "unexplained"),
        ("unknown", "mine.rank", "mine", "unexplained"),
        ("unknown", "mylocks.asyncio_locks.Thing", "", "unexplained"),
    ],
)
def test_an_await_by_who_ended_it_and_what_it_awaited(waker: str, awaited: str, module: str, cause: str) -> None:
    table = causes(
        """
        server GET        |-----------|
        task   root GET   |-----------|  cpu=6
        wait   w    root    |----|
    """,
        {"w": {schema.WAKER_KIND: waker, schema.FOR: awaited, schema.FOR_MODULE: module}},
    )
    row = table[table["span_name"] == "w"].iloc[0]
    assert row["cause"] == cause
    assert awaited in row["detail"]


@pytest.mark.parametrize(
    ("function", "file", "where"),
    [
        ("FlowControl.drain", "/usr/lib/python3/site-packages/uvicorn/protocols/http/flow_control.py", ""),
        ("export", "/srv/app.py", " in export (srv/app.py:8)"),
    ],
)
def test_an_answer_that_its_client_does_not_read_is_told_so(function: str, file: str, where: str) -> None:
    table = causes(
        """
        server GET        |-----------|
        task   root GET   |-----------|  cpu=6
        wait   w    root    |----|         waker=io for=uvicorn.protocols.http.flow_control.FlowControl.drain
    """,
        {"w": {schema.CODE_FUNCTION: function, schema.CODE_FILE: file, schema.CODE_LINE: 8}},
    )
    row = table[table["span_name"] == "w"].iloc[0]
    assert row["cause"] == "request_io"
    assert row["detail"] == f"its client had not read what was sent before{where}"


def test_a_wait_in_a_library_is_told_by_the_function_that_was_called_and_its_caller() -> None:
    table = causes(
        """
        server GET        |-----------|
        task   root GET   |-----------|  cpu=6
        wait   w    root    |----|         waker=io
    """,
        {
            "w": {
                schema.FOR: "Event.wait", schema.FOR_MODULE: "asyncio.locks", schema.FOR_CALL: "AsyncClient.get",
                schema.FOR_PACKAGE: "httpx", schema.CODE_FUNCTION: "quote", schema.CODE_FILE: "app.py",
                schema.CODE_LINE: 73,
            }
        },
    )  # fmt: skip
    row = only(table, "await_io")
    assert row["detail"] == "waiting for AsyncClient.get (httpx) in quote (app.py:73)"
    assert (row["culprit"], row["culprit_file"], row["culprit_line"]) == ("quote", "app.py", 73)


@pytest.mark.parametrize("waker", ["timer", "io", ""])
def test_what_another_request_did_meanwhile_is_a_turn(waker: str) -> None:
    stood = f"wait   own  other    |----------|     trace=b waker={waker}" if waker else ""
    cpu = "cpu=6" if stood else "cpu=17"
    result = analysis.analyze(
        drawn(
            f"""
        server GET         |--------------|
        task   root GET    |--------------|   cpu=5
        wait   w    root     |---------|        waker=other
        server POST      |----------------|   trace=b
        task   other POST|----------------|   trace=b {cpu}
        {stood}
    """,
            {"own": {schema.CODE_FUNCTION: "ask", schema.CODE_FILE: "app.py", schema.CODE_LINE: 9}} if stood else {},
        )
    )
    mine = result.causes[result.causes["trace_id"] == trace_id("a")]
    turn = mine[mine["cause"] == "limiter_wait"]
    assert turn["amount_ns"].sum() == 10 * UNIT_NS
    assert set(mine["cause"]) == {"limiter_wait", "compute"}
    assert mine[mine["cause"] == "compute"]["amount_ns"].sum() == 5 * UNIT_NS, "its own, and no other"
    assert turn["detail"].str.startswith("its turn, behind another request: ").all()
    if stood:
        longest = turn.loc[turn["amount_ns"].idxmax()]
        assert (longest["culprit"], longest["culprit_file"], longest["culprit_line"]) == ("ask", "app.py", 9)
        assert longest["culprit_trace_id"] == trace_id("b")


def test_who_waits_for_a_batch_that_no_request_owns_waits_for_what_it_does() -> None:
    at = {schema.CODE_FUNCTION: "predict", schema.CODE_FILE: "app.py", schema.CODE_LINE: 9}
    result = analysis.analyze(
        drawn(
            """
        server GET         |--------------|
        task   root GET    |--------------|     cpu=5
        wait   w    root     |---------|        waker=other
        phase  batch           |-------|        trace=b
        task   other batch     |-------|        trace=b cpu=5
        wait   own  other      |--|             trace=b waker=timer
    """,
            {"own": at, "other": {schema.ROOT: True}},
        )
    )
    mine = result.causes[result.causes["trace_id"] == trace_id("a")]
    by_cause = mine.groupby("cause")["amount_ns"].sum() / UNIT_NS
    assert by_cause.to_dict() == {"limiter_wait": 2, "await_io": 3, "compute": 5 + 5}
    assert mine.loc[mine["cause"] == "limiter_wait", "detail"].str.startswith("queued for ").all()
    (waited,) = mine.loc[mine["cause"] == "await_io", "detail"]
    assert waited.endswith("in predict (app.py:9), in batch")
    (one,) = (each for each in judge(result) if each.endpoint == "GET")
    assert {each.cause: each.other_requests_share for each in one.reasons} == {Cause.AWAIT_IO: 0, Cause.LIMITER_WAIT: 1}


@pytest.mark.parametrize(
    ("awaited", "ends", "cause"),
    [("profile_of", "", "await_io"), ("profile_of", "---", "limiter_wait"), ("Condition.wait", "", "limiter_wait")],
    ids=["its result", "it goes on", "a signal"],
)
def test_the_result_of_a_task_of_another_request_is_shared_work(awaited: str, ends: str, cause: str) -> None:
    module = {schema.FOR_MODULE: "asyncio.locks" if awaited == "Condition.wait" else "app"}
    at = {schema.CODE_FUNCTION: "load", schema.CODE_FILE: "app.py", schema.CODE_LINE: 9}
    result = analysis.analyze(
        drawn(
            f"""
        server GET         |--------------|
        task   root GET    |--------------|     cpu=5
        wait   w    root     |---------|        waker=load for={awaited}
        server POST      |------------------|   trace=b
        task   other POST|------------------|   trace=b cpu=17
        task   load other   |----------{ends}|  trace=b cpu=0
        wait   own  load    |---------|         trace=b waker=io
    """,
            {"own": at, "w": module},
        )
    )
    mine = result.causes[result.causes["trace_id"] == trace_id("a")]
    chief = mine.loc[mine["amount_ns"].idxmax()]
    assert (chief["cause"], chief["culprit"], chief["culprit_line"]) == (cause, "load", 9)
    words = "shared with another request: " if cause == "await_io" else "its turn, behind another request: "
    assert chief["detail"] == f"{words}awaiting something in load (app.py:9)"


def test_a_wait_shared_and_ones_own_at_one_place_are_told_as_one() -> None:
    """Of 41 ms, a name look-up takes 10 of its own and 21 of another request's; the answer has 10."""
    look_up = {schema.CODE_FUNCTION: "resolve", schema.CODE_FILE: "app.py", schema.CODE_LINE: 9}
    result = analysis.analyze(
        drawn(
            """
        server GET         |----------------------------------------|
        task   root GET    |----------------------------------------|
        wait   w    root   |--------------------|                      waker=load for=get
        wait   ans  root                        |---------|            waker=io
        wait   mine root                                  |---------|  waker=io
        server POST      |------------------------------------------|  trace=b
        task   other POST|------------------------------------------|  trace=b
        task   load other|----------------------|                      trace=b cpu=0
        wait   own  load |----------------------|                      trace=b waker=io
    """,
            {"own": look_up, "mine": look_up, "w": {schema.FOR_MODULE: "app"}},
        )
    )
    (told,) = (one for one in verdict(result) if one.endpoint == "GET")
    assert "shared with another request: awaiting something in resolve (app.py:9) for 76% of it" in told.reasons[0]


@pytest.mark.parametrize("waits_too", [False, True], ids=["who gives it never waits there", "a pool made of events"])
def test_an_event_that_another_endpoint_sets_is_given_and_nobodys_turn(waits_too: bool) -> None:
    event = {
        schema.FOR: "Event.wait", schema.FOR_MODULE: "asyncio.locks", schema.CODE_FUNCTION: "take", schema.CODE_FILE: "app.py",
    }  # fmt: skip
    at = {schema.CODE_FUNCTION: "load", schema.CODE_FILE: "app.py", schema.CODE_LINE: 9}
    result = analysis.analyze(
        drawn(
            """
        server GET         |--------------|
        task   root GET    |--------------|     cpu=5
        wait   w    root     |---------|        waker=other
        server POST      |------------------|   trace=b
        task   other POST|------------------|   trace=b cpu=9
        wait   own  other   |-------|           trace=b waker=io
        wait   too  other |-|                   trace=b waker=io
    """,
            {"own": at, "w": event, "too": event if waits_too else {}},
        )
    )
    mine = result.causes[result.causes["trace_id"] == trace_id("a")]
    chief = mine.loc[mine["amount_ns"].idxmax()]
    assert (chief["culprit"], chief["culprit_line"]) == ("load", 9)
    assert chief["cause"] == ("limiter_wait" if waits_too else "await_io")
    assert chief["detail"].startswith("its turn" if waits_too else "given by another request: ")


def test_a_handover_divides_by_the_workers_own_cpu_and_run_queue() -> None:
    table = causes("""
        server GET         |-------------|
        task   root GET    |-------------|   cpu=3
        wait   w    root     |---------|     waker=job
        job    job  root     |---------|
        wait   h    job      |------|        type=pool_handover cpu=1 rq=2
        run    run  job             |--|     cpu=3
    """)
    assert [row for row in shown(table) if row[3] == "h"] == [
        (2, 3, "compute", "h"), (3, 5, "cpu_wait", "h"), (5, 9, "unexplained", "h"),
    ]  # fmt: skip


def test_an_inner_phase_keeps_its_own_amounts_from_the_outer_one() -> None:
    table = causes("""
        server GET         |----------------|
        task   root GET    |----------------|   cpu=10
        phase  outer root    |-----------|      cpu=9
        phase  inner root       |----|          cpu=5
    """)
    cpu = table[table["cause"] == "compute"].groupby("span_name")["amount_ns"].sum() / UNIT_NS
    assert cpu.to_dict() == {"root": 1, "outer": 4, "inner": 5}


def test_a_block_that_crosses_a_phase_is_cut_at_its_border() -> None:
    table = causes("""
        server GET         |-------------------|
        task   root GET    |-------------------|   cpu=8
        phase  ph   root     |------|              cpu=4
        block  bl   root         |-------|         cpu=8
    """)
    # the block ran all its eight units, three of them under the phase, whose fourth is from before
    cpu = table[table["cause"] == "compute"].groupby("span_name")["amount_ns"].sum() / UNIT_NS
    assert cpu.to_dict() == {"ph": 4, "bl": 5}


def test_short_waits_come_out_of_the_rest_by_the_same_rules() -> None:
    table = causes(
        """
        server GET         |---------|
        task   root GET    |---------|   cpu=4
    """,
        {
            "root": {f"whywait.small.{kind}_ns": UNIT_NS for kind in ("resume", "await", schema.SHORT_IO)}
            | {"whywait.small.loop_busy_ns": 2 * UNIT_NS}
        },
    )
    amounts = table.groupby(["cause", "detail"])["amount_ns"].sum() / UNIT_NS
    assert amounts["loop_busy", "loop busy, in waits too short to be told one by one"] == 2
    assert amounts["unexplained", "await, in waits too short to be told one by one"] == 1
    assert amounts["await_io", "answers, in waits too short to be told one by one"] == 1
    assert amounts["loop_wakeup", "changes of threads, in waits too short to be told one by one"] == 1
    assert amounts["compute"].sum() == 4
    assert table.loc[table["cause"] == "loop_busy", "evidence"].tolist() == ["inferred"]


def test_more_cpu_than_time_is_cut_to_the_time() -> None:
    table = causes("""
        server GET         |---------|
        task   root GET    |---------|   cpu=11 rq=5
    """)
    assert shown(table) == [(0, 10, "compute", "root")]


def test_what_the_root_does_not_cover_is_unexplained() -> None:
    table = causes("""
        server GET       |------------|
        task   root GET     |------|      cpu=7
    """)
    assert shown(table) == [
        (0, 3, "unexplained", "GET"), (3, 10, "compute", "root"), (10, 13, "unexplained", "GET"),
    ]  # fmt: skip
    assert table["activity_id"].tolist()[::2] == ["", ""]


def test_a_trace_of_others_is_guessed_and_says_so() -> None:
    result = analysis.analyze(
        drawn("""
        server GET         |---------------------|
        client db    GET     |-----|
        client cache GET         |---|
        plain  page  GET              |-----|
    """)
    )
    # page ended last; before it cache; db had not ended when cache began
    assert shown(result.causes) == [
        (0, 6, "unexplained", "GET"), (6, 10, "await_io", "cache"), (10, 11, "unexplained", "GET"),
        (11, 17, "unexplained", "page"), (17, 22, "unexplained", "GET"),
    ]  # fmt: skip
    assert set(result.causes["evidence"]) == {"inferred"}
    assert [finding.code for finding in result.findings] == ["no-whywait-data"]


def test_the_last_rule_takes_everything() -> None:
    assert RULES[-1].cause is Cause.UNEXPLAINED
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(("call", "of"), [("Redis.execute_command", " of Redis.execute_command (redis)"), ("", "")])
def test_a_lock_inside_a_library_is_no_lock_of_the_users(call: str, of: str) -> None:
    place = {schema.CODE_FUNCTION: "item", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 6}
    library = {schema.FOR_CALL: call, schema.FOR_PACKAGE: "redis"} if call else {}
    table = causes(
        """
        server GET         |---------|
        task   root GET    |---------|   cpu=0
        wait   w    root   |---------|   waker=activity for=Lock.acquire
    """,
        {"w": {schema.FOR_MODULE: "asyncio.locks", **place, **library}},
    )
    (detail,) = table.loc[table["cause"] == "limiter_wait", "detail"]
    assert detail == f"awaiting Lock.acquire{of} in item (srv/app.py:6)"
