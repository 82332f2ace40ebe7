"""Drawn requests that make connections or clients of their own, beside such as keep them."""

import pytest

from tests.analysis.drawing import drawn
from whywait.analysis.pipeline import analyze
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.tracer import schema

CALL = {
    schema.FOR_CALL: "AsyncClient.get",
    schema.FOR_PACKAGE: "httpx",
    schema.CODE_FUNCTION: "quote",
    schema.CODE_FILE: "/srv/app.py",
}
ASKS = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   look  root |------|                           waker=io for=wait
    wait   tls   root        |-------------|             waker=io for=wait
    wait   ask   root                      |---|         waker=io for=wait
"""
THREAD = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   w  root    |-----------------------------|    waker=job
    job    job root   |-----------------------------|
    run    run job    |-----------------------------|    cpu=0
    wait   c  job     |-----------------------------|    type=blocking_io for={awaited}
"""


def of(picture: str, steps: dict[str, str]) -> Verdict:
    more = {name: CALL | ({schema.FOR_STEP: steps[name]} if name in steps else {}) for name in ("look", "tls", "ask")}
    (found,) = verdict(analyze(drawn(picture, more)))
    return found


def test_what_passes_before_the_question_is_sent_is_told_by_its_steps() -> None:
    found = of(ASKS, {"look": schema.STEP_LOOK_UP, "tls": schema.STEP_TLS})
    assert (
        "100% of the requests make a connection: 21.0 ms of 25.0 ms (name look-up 7.0 ms, connect 0.00 ms, TLS"
        in found.text
    )
    assert "handshake 14.0 ms, close 0.00 ms; the rest, 4.0 ms, is the answers)" in found.text
    assert "waiting for AsyncClient.get (httpx): TLS handshake, in quote" in found.text
    assert found.judgement.reasons[0].remedy.key == "await_io/connects"


def test_a_connection_that_did_not_come_within_its_time_limit_is_none_to_keep() -> None:
    found = of(ASKS.replace("waker=io", "waker=timer"), {"look": schema.STEP_CONNECT, "tls": schema.STEP_CONNECT})
    assert found.judgement.reasons[0].remedy.key == "await_io/time_limit"
    assert "make a connection" not in found.text


@pytest.mark.parametrize(("awaited", "connects"), [("socket.connect", True), ("socket.recv_into", False)])
def test_in_a_thread_the_blocking_call_is_the_step(awaited: str, connects: bool) -> None:
    found = of(THREAD.format(awaited=awaited), {})
    assert (found.judgement.reasons[0].remedy.key == "blocking_io/connects") == connects


def test_where_a_connection_made_by_a_blocking_call_stops_the_loop_that_is_mended_first() -> None:
    picture = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   c  root    |-----------------------------|    type=blocking_io for=socket.connect
    """
    found = of(picture, {})
    assert found.judgement.reasons[0].remedy.key == "blocking_io/blocks_loop"


def test_kept_connections_are_no_such_case() -> None:
    assert Situation.CONNECTS not in [one.kind for one in of(ASKS, {}).judgement.situations]


@pytest.mark.parametrize(("length", "told"), [(20, True), (4, False), (1, False)])
def test_a_client_made_in_a_request_is_told_with_what_it_costs_and_who_makes_it(length: int, told: bool) -> None:
    picture = f"""
    server GET        |----------------------------------------|
    task   root       |----------------------------------------|
    block  b root     |-------------------------|               cpu=26
    phase  client root   |{"-" * length}|
    """
    at = {schema.CODE_FUNCTION: "fetch", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 4}
    client = {schema.PHASE: schema.PHASE_CLIENT, schema.CPU_NS: length * 1_000_000}
    spans = drawn(picture, {"b": at, "client": client})
    spans["name"] = spans["name"].str.replace("client", "client: AsyncClient")
    (found,) = verdict(analyze(spans))
    assert (Situation.CLIENT_PER_REQUEST in [one.kind for one in found.judgement.situations]) == told
    if told:
        assert "AsyncClient, 1 times per request, which takes" in found.text


@pytest.mark.parametrize("maker", ["fetch", "send_report"])
@pytest.mark.parametrize("package", ["grpc", "httpx"])
def test_a_channel_per_request_connects_in_its_first_call_where_no_step_is_seen(maker: str, package: str) -> None:
    picture = """
    server GET        |----------------------------------------|
    task   root       |----------------------------------------|
    phase  client root ||
    wait   ask  root    |-------------------------------------|  waker=io for=wait
    """
    at = {schema.CODE_FUNCTION: "fetch", schema.CODE_FILE: "/srv/app.py", schema.CODE_LINE: 4}
    client = at | {schema.PHASE: schema.PHASE_CLIENT, schema.CODE_FUNCTION: maker}
    spans = drawn(picture, {"client": client, "ask": at | {schema.FOR_CALL: "Call", schema.FOR_PACKAGE: package}})
    spans["name"] = spans["name"].str.replace("client", f"client: {package}.insecure_channel")
    (found,) = verdict(analyze(spans))
    expected = "await_io/client_per_request" if (maker, package) == ("fetch", "grpc") else "await_io/other_service"
    assert found.judgement.reasons[0].remedy.key == expected


@pytest.mark.parametrize("called", ["fetch", "report"])
def test_an_engine_per_request_connects_in_calls_that_only_samples_saw(called: str) -> None:
    picture = """
    server GET        |----------------------------------------|
    task   root       |----------------------------------------|
    wait   w  root    |---------------------------------------|  waker=job
    job    job root   |---------------------------------------|
    run    run job    |---------------------------------------|  cpu=1
    phase  client job ||
    """
    saw = (["fetch"], ["/srv/app.py"], [4], [36_000_000])
    rows = {one.key: value for one, value in zip(schema.CALLED, saw, strict=True)} if called == "fetch" else {}
    run = {schema.CALL_NS: 38_000_000, schema.CALL: "poll", schema.SAMPLES: 9} | rows
    client = {schema.PHASE: schema.PHASE_CLIENT, schema.CODE_FUNCTION: "fetch", schema.CODE_FILE: "/srv/app.py"}
    (found,) = verdict(analyze(drawn(picture, {"run": run, "client": client})))
    assert found.judgement.reasons[0].remedy.key == (
        "blocking_io/client_per_request" if rows else "blocking_io/in_worker"
    )


@pytest.mark.parametrize(
    ("call", "package", "key", "advice"),
    [
        ("Connection.close", "websockets", "/connects", "Open the connection once"),
        ("Pool.close", "asyncpg", "/connects", "Make the client"),
        ("AsyncSession.close", "sqlalchemy", "/database", "EXPLAIN"),  # it gives a connection back
    ],
)
def test_a_connection_that_is_taken_down_costs_too(call: str, package: str, key: str, advice: str) -> None:
    picture = """
    server GET        |------------------------------|
    task   root       |------------------------------|
    wait   got   root  |--|                             waker=io for=wait
    wait   shut  root      |-----------------------|    waker=io for=Connection.send_context
    """
    at = CALL | {schema.FOR_PACKAGE: package, schema.FOR_MODULE: f"{package}.asyncio.connection"}
    spans = drawn(picture, {"got": at | {schema.FOR_CALL: "Connection.recv"}, "shut": at | {schema.FOR_CALL: call}})
    (found,) = verdict(analyze(spans))
    assert found.judgement.reasons[0].remedy.key == f"await_io{key}"
    assert advice in found.remedy


@pytest.mark.parametrize(
    ("call", "package", "advice"),
    [("Pool.acquire", "asyncpg", "Let the pool keep"), ("AsyncSession.execute", "sqlalchemy", "no NullPool")],
)
def test_a_pool_that_keeps_too_few_connections_is_told_its_settings(call: str, package: str, advice: str) -> None:
    steps = {"look": schema.STEP_CONNECT, "tls": schema.STEP_TLS}
    at = CALL | {schema.FOR_CALL: call, schema.FOR_PACKAGE: package}
    spans = drawn(ASKS, {"look": at | {schema.FOR_STEP: steps["look"]}, "tls": at | {schema.FOR_STEP: steps["tls"]}})
    (found,) = verdict(analyze(spans))
    assert found.judgement.reasons[0].remedy.key == "await_io/connects"
    assert advice in found.remedy
