"""Drawn requests whose answers come from their own service, from a server that does one thing at a time, or from another
client, and what is told of them."""

from typing import Any

import pytest

from tests.analysis.drawing import drawn
from whywait.analysis.pipeline import analyze
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.tracer import schema

ONE = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   w   root   |-----------------------------|    waker=io for=wait
"""
TWO = """
    server GET             |-------------------------|
    task   root            |-------------------------|
    wait   w   root        |------------------------|    waker=io for=wait
    server OTHER      |------------------------------|   trace=b
    task   other      |------------------------------|   trace=b
    wait   long other {bar}    trace=b waker=io for=wait
"""


def told(picture: str, more: dict[str, dict[str, Any]]) -> Verdict:
    return next(one for one in verdict(analyze(drawn(picture, more))) if one.judgement.endpoint == "GET")


def called(call: str, package: str = "redis", function: str = "profile", **more: Any) -> dict[str, Any]:
    at = {schema.CODE_FUNCTION: function, schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 18}
    return at | {schema.FOR_CALL: call, schema.FOR_PACKAGE: package} | more


@pytest.mark.parametrize(
    ("address", "itself"),
    [("GET 127.0.0.1:8431", True), ("GET localhost:8431", True), ("GET 127.0.0.1:8432", False), ("GET rates:8431", False)],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["await", "blocking_io"])
def test_a_service_that_asks_itself_is_told_so(address: str, itself: bool, kind: str) -> None:
    wait = called("Session.get", "requests", "price_of", **{schema.FOR_ADDRESS: address, schema.WAIT: kind})
    found = told(ONE, {"w": wait, "GET": {"server.address": "127.0.0.1", "server.port": 8431}})
    (reason, *_) = found.judgement.reasons
    assert reason.remedy.key.endswith("/asks_itself") == itself
    assert ("This service asks itself over HTTP, in price_of (srv/app.py:18)" in found.text) == itself


@pytest.mark.parametrize(
    ("bar", "call", "package", "kind"),
    [
        ("|-----------------------------|", "Redis.eval", "redis", "served_in_turn"),
        ("|-----------------------------|", "Redis.get", "redis", "other_service"),  # the same code: see what it asks
        ("|--------|                     ", "Redis.eval", "redis", "other_service"),  # ended long before
        ("|-----------------------------|", "Redis.blpop", "redis", "other_service"),  # another may be answered
        ("|-----------------------------|", "AsyncClient.get", "httpx", "other_service"),
    ],
)
def test_what_a_server_of_one_thing_at_a_time_did_first_is_named(bar: str, call: str, package: str, kind: str) -> None:
    more = {
        "w": called("Redis.get", package),
        "long": called(call, package, "profile" if call == "Redis.get" else "clean"),
    }
    found = told(TWO.format(bar=bar), more)
    assert found.judgement.reasons[0].remedy.key == f"await_io/{kind}"
    assert ("Make Redis.eval in clean (srv/app.py:18) shorter" in found.remedy) == (kind == "served_in_turn")


@pytest.mark.parametrize(
    ("call", "waits"),
    [("Redis.blpop", True), ("Redis.xread(block=...)", True), ("Redis.bzpopmin", True), ("Redis.xread", False),
     ("Redis.get", False), ("Redis.bitcount", False)],
)  # fmt: skip
def test_a_command_that_waits_for_another_client_is_not_slow(call: str, waits: bool) -> None:
    found = told(ONE, {"w": called(call)})
    assert found.judgement.reasons[0].remedy.key == ("await_io/signal" if waits else "await_io/other_service")
    assert ("Nothing is slow here" in found.remedy) == waits
    assert waits or "one command after another" in found.remedy


CONNECTS_FIRST = """
    server GET        |----------------------------------------------------------|
    task   root       |----------------------------------------------------------|
    wait   first root |-|                                                           waker=io for=connect
    wait   w   root     |--------------------------------------------------------|  waker=io for=recv
"""


@pytest.mark.parametrize(
    ("step", "package", "words"),
    [(schema.STEP_CONNECT, "websockets", "log-in, too. Open the connection once, at start-up"), ("", "websockets", "a time limit."),
     (schema.STEP_CONNECT, "", "log-in, too. Keep it open for the next ones")],
)  # fmt: skip
def test_who_connects_anew_in_each_request_could_keep_the_connection(step: str, package: str, words: str) -> None:
    more = {"first": called("connect", package) | ({schema.FOR_STEP: step} if step else {})}
    found = told(CONNECTS_FIRST, more | {"w": called("Connection.recv" if package else "", package)})
    assert found.judgement.reasons[0].remedy.key == "await_io/other_service"
    assert words in found.remedy


@pytest.mark.parametrize(("ms", "looks"), [(1_002, True), (700, False), (1_300, False)])
def test_waits_of_a_second_may_be_deadlocks(ms: int, looks: bool) -> None:
    analysis = analyze(drawn(ONE, {"w": called("Connection.execute", "asyncpg")}, unit_ns=ms * 1_000_000 // 29))
    (found,) = verdict(analysis)
    assert found.judgement.reasons[0].remedy.key == "await_io/database"
    assert ("change rows in one order" in found.remedy) == looks


@pytest.mark.parametrize("module", ["asyncio.subprocess", "asyncio.locks"])
def test_a_child_process_that_a_time_limit_ended_may_wait_for_its_reader(module: str) -> None:
    picture = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   w   root   |-----------------------------|    waker=timer for=wait_for
    task   inner root |-----------------------------|
    wait   c   inner  |-----------------------------|    waker=io for=wait
    """
    found = told(picture, {"w": {schema.FOR_MODULE: "asyncio.tasks"}, "c": {schema.FOR_MODULE: module}})
    assert found.judgement.reasons[0].remedy.key == "await_io/time_limit"
    assert ("communicate()" in found.remedy) == (module == "asyncio.subprocess")


@pytest.mark.parametrize(
    ("awaited", "said"),
    [("answer_to", "awaiting a future in answer_to"), ("StreamReader._wait_for_data", "awaiting StreamReader.read in answer_to"),
     ("Event.wait", "awaiting Event.wait in answer_to")],
)  # fmt: skip
def test_what_is_awaited_has_a_name_that_users_know(awaited: str, said: str) -> None:
    found = told(ONE, {"w": {schema.FOR: awaited, schema.CODE_FUNCTION: "answer_to", schema.CODE_FILE: "/srv/app.py"}})
    assert said in found.text


@pytest.mark.parametrize(
    ("bar", "package", "is_held"),
    [
        ("|------------------------------|", "psycopg", True),
        ("|---------------|               ", "psycopg", False),  # ended long before
        ("       |-----------------------|", "psycopg", False),  # came later
        ("|------------------------------|", "httpx", False),
    ],
)
@pytest.mark.parametrize("let_go", [False, True])
def test_the_request_that_ends_when_a_database_answers_probably_had_the_row(
    bar: str, package: str, is_held: bool, let_go: bool
) -> None:
    found = told(
        f"""
    server GET             |--------------------------|
    task   root GET        |--------------------------|
    wait   w   root        |-------------------------|    waker=io for=wait
    server B          {bar}   trace=b
    task   other B    {bar}   trace=b
    wait   bank other      |-------|                   trace=b waker=io for=wait
    wait   too other                |----------------|  trace=b waker=io for=wait
    """,
        {
            "w": called("Connection.execute", package, "adjust"),
            "bank": called("AsyncClient.post", "httpx", "charge"),
            "too": called("Connection.execute", package if let_go else "httpx", "charge"),
            "other": {schema.ROOT: True},
        },
    )
    key = found.judgement.reasons[0].remedy.key
    assert (key == "await_io/row_held") is (is_held and not let_go)
    assert (
        "100% of this wait ended as B did, which had begun before and was in charge (srv/app.py:18)" in found.text
    ) is (is_held and not let_go)


@pytest.mark.parametrize(
    ("place", "since", "is_head"), [("report", 0, True), ("report", 4, False), ("adjust", 0, False)]
)
def test_the_first_of_those_that_a_database_let_go_together_had_what_they_waited_for(
    place: str, since: int, is_head: bool
) -> None:
    """As a long transaction for which an ALTER TABLE waits, and others behind that."""
    picture = f"""
    server GET            |---------------------------|
    task   root GET       |---------------------------|
    wait   w   root        |--------------------------|    waker=io for=wait
    server B          |------------------------------------|  trace=b
    task   other B    |------------------------------------|  trace=b
    wait   long other {" " * (since + 2)}|{"-" * (29 - since)}|       trace=b waker=io for=wait
    """
    more = {
        "w": called("Connection.execute", "asyncpg", "adjust"),
        "long": called("Connection.execute", "asyncpg", place),
    }
    spans = drawn(picture, {**more, "other": {schema.ROOT: True}}, unit_ns=10_000_000)
    found = next(one for one in verdict(analyze(spans)) if one.endpoint == "GET")
    assert (found.judgement.reasons[0].remedy.key == "await_io/row_held") is is_head
    assert ("ended as B did, which had begun before and was in report (srv/app.py:18)" in found.text) is is_head
