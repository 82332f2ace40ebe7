"""What is written instead of a value that may hold a secret, by attribute and by form. Pure."""

import time
import traceback as tb
from typing import Any

import pytest

from whywait.secret_text import masked
from whywait.tracer.config import Config, ConfigError, from_environment
from whywait.tracer.redaction.attributes import redacted
from whywait.tracer.redaction.paths import endpoint_name, without_secrets
from whywait.tracer.redaction.statements import statement, traceback

GONE = "[redacted]"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("prog --password=hunter2 -x", f"prog --password={GONE} -x"),
        ("prog --api-key hunter2 -x", f"prog --api-key {GONE} -x"),
        ("DB_PASSWORD='hunter two' run", f"DB_PASSWORD={GONE} run"),
        ('{"api_key": "hunter2", "a": 1}', f'{{"api_key": {GONE}, "a": 1}}'),
        ("{'Authorization': 'Bearer hunter2'}", f"{{'Authorization': {GONE}}}"),
        ("sent Authorization: Basic aHVudGVyMg==\nnext", f"sent Authorization: {GONE}\nnext"),
        ("[(b'cookie', b'sid=hunter2'), (b'a', b'b')]", f"[(b'cookie', b{GONE}), (b'a', b'b')]"),
        ("with bearer hunter2.hunter2", f"with bearer {GONE}"),
        ("at postgres://me:hunter2@host/db", "at postgres://host/db"),
        ("GET https://host/a?sig=hunter2 failed", f"GET https://host/a?{GONE} failed"),
        ("key AKIAIOSFODNN7EXAMPLE used", f"key {GONE} used"),
        ("got eyJhbGciOiJI.eyJzdWIi.hunter2", f"got {GONE}"),
    ],
)  # fmt: skip
def test_a_secret_that_names_itself_is_masked(text: str, left: str) -> None:
    assert masked(text) == left


@pytest.mark.parametrize(
    "text",
    ["await get_token:12", "app/tokens.py:12 fetch_token", "author of a.b", "basic service", "GET /token/{token}",
     "session of passengers", "keys: 3", "https://host/a/b", "Semaphore.acquire", "tokenizing: tokenize", "secretary: Ann"],
)  # fmt: skip
def test_names_of_code_are_left_as_they_are(text: str) -> None:
    assert masked(text) == text
    assert endpoint_name(text) == text


@pytest.mark.parametrize(
    ("path", "route", "left"),
    [
        ("/a/b?token=hunter2", None, f"/a/b?{GONE}"),
        ("https://me:hunter2@host/a/b#x", None, f"https://host/a/b?{GONE}"),
        ("/items/42", "/items/{id}", "/items/42"),
        ("/orders/9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", None, "/orders/9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"),
        ("/fault/held_lock/held_lock-500-3-alone", None, "/fault/held_lock/held_lock-500-3-alone"),
        ("/files/a8f5f167f44f4964e6c998dee827110c", "/files/{name}", f"/files/{GONE}"),
        ("/reset/hunter", "/reset/{code}", f"/reset/{GONE}"),
        ("/api/reset/hunter2", None, f"/api/reset/{GONE}"),
        ("/api/reset/done", "/reset/done", "/api/reset/done"),
        ("/token/refresh", None, "/token/refresh"),
        ("/services/T00000000/B00000000/XXXX1XXXXXXXXXXXXXXXXXXX", None, f"/services/T00000000/B00000000/{GONE}"),
    ],
)  # fmt: skip
def test_an_address_keeps_its_path_but_what_looks_like_a_token(path: str, route: str | None, left: str) -> None:
    assert without_secrets(path, route) == left


def test_the_values_of_parameters_can_be_removed_from_paths() -> None:
    assert without_secrets("/items/42?a=b", "/items/{id}", keep_parameters=False) == f"/items/{{id}}?{GONE}"
    full = without_secrets("https://host/items/42", "/items/{id}", keep_parameters=False)
    assert full == "https://host/items/{id}"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("SELECT a FROM t1 WHERE b = 'hun''ter2' AND c > 12.5", "SELECT a FROM t1 WHERE b = ? AND c > ?"),
        ('update users set pw="hunter2" -- hunter2', "update users set pw=? ?"),
        ("select $$hunter2$$ /* hunter2 */", "select ? ?"),
        ("select 'hunter2", "select ?"),
        ("insert into t values ('a\\', 'hunter2')", f"insert into t values ({GONE}"),
        ("SELECT * FROM t WHERE id = $1 AND b = %(b)s", "SELECT * FROM t WHERE id = $1 AND b = %(b)s"),
        ("SET user:1 hunter2", f"SET {GONE}"),
        ("PING", "PING"),
        ('{"find": "hunter2"}', f"{GONE} {GONE}"),
    ],
)  # fmt: skip
def test_a_statement_keeps_its_words(said: str, left: str) -> None:
    assert statement(said) == left


def test_a_traceback_keeps_frames_and_types() -> None:
    def fail() -> None:
        try:
            raise ValueError("hunter2\nhunter2 hunter2\nhunter2")
        except ValueError as first:
            raise ExceptionGroup("hunter2", [KeyError("hunter2"), TypeError()]) from first

    try:
        fail()
    except Exception as error:
        said = traceback("".join(tb.format_exception(error)))
    assert "hunter2" not in said
    assert f"ValueError: {GONE}" in said
    assert f"ExceptionGroup: {GONE}" in said
    assert said.count("in fail") == 2
    assert traceback("hunter2") == GONE


def test_each_attribute_where_secrets_travel() -> None:
    secret = "hunter2 hunter2"
    keys = (
        "url.query", "http.request.header.x_mine", "http.response.header.set_cookie", "rpc.grpc.request.metadata.a",
        "http.request.body", "db.query.parameter.a", "db.operation.parameter.a", "db.statement.parameters",
        "db.connection_string", "exception.message", "exception.stacktrace", "process.command_line",
        "gen_ai.input.messages", "app.password", "userToken", "x-api-key", "session.id", "messaging.message.body",
        "process.environment_variable.A", "graphql.variables", "error.message",
    )  # fmt: skip
    found = redacted(dict.fromkeys(keys, secret))
    assert {key: value for key, value in found.items() if value != GONE} == {
        "process.command_line": f"hunter2 {GONE}"  # the program
    }
    lists: dict[str, Any] = {"process.command_args": ("prog", "-p", "hunter2"), "http.request.header.a": ["hunter2"]}
    assert redacted(lists) == {"process.command_args": ("prog", GONE), "http.request.header.a": (GONE,)}


def test_what_the_analysis_needs_is_untouched() -> None:
    kept: dict[str, Any] = {
        "http.route": "/reset/{token}", "http.request.method": "GET", "http.response.status_code": 200,
        "gen_ai.usage.output_tokens": 12, "url.path": "/items/42", "whywait.for": "auth.get_token",
        "whywait.lock.kind": "Lock", "code.function.name": "tokens.fetch_token", "thread.name": "token-refresher",
        "whywait.occupant.names": ("secrets.load", "b"), "db.system.name": "postgresql", "server.address": "db",
    }  # fmt: skip
    assert redacted(kept) is kept


def test_a_long_text_takes_no_long_time() -> None:
    worst = ("--token" * 9_000, "a-" * 30_000 + "token", "eyJ-" * 15_000, "-----BEGIN " * 5_000, "a://" * 15_000)
    began_s = time.thread_time()
    short = [masked(text[:4_000]) for text in worst]
    short_s = time.thread_time() - began_s
    began_s = time.thread_time()
    long = [masked(text) for text in worst]
    assert time.thread_time() - began_s < 20 * short_s + 0.5
    assert len(short) == len(long)


def test_the_setting_is_read_once_and_a_wrong_one_is_refused() -> None:
    assert from_environment({}).redact == Config().redact == "secrets"
    assert from_environment({"WHYWAIT_REDACT": "1"}).redact == "secrets"
    assert from_environment({"WHYWAIT_REDACT": "0"}).redact == "nothing"
    assert from_environment({"WHYWAIT_REDACT": "parameters"}).redact == "parameters"
    with pytest.raises(ConfigError, match="WHYWAIT_REDACT"):
        from_environment({"WHYWAIT_REDACT": "some"})
