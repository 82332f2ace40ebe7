"""A response says which trace is its own and how long it waited before its handler, where that is asked for; and log
records of OpenTelemetry's own instrumentation have the same id."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from testbed.service import free_port, traced_service

pytest.importorskip("opentelemetry.instrumentation.logging", reason="opentelemetry-instrumentation-logging is missing")

APP = "tests.tracer.probes.headers_app:app"
ASKS = {"WHYWAIT_RESPONSE_HEADERS": "1", "WHYWAIT_KEEP": "all"}


@pytest.fixture(params=["asyncio", "uvloop"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with traced_service(tmp_path, app=APP, loop=request.param, environment=ASKS) as found:
        yield found


def timing(answer: httpx.Response, name: str) -> float:
    found = re.search(rf"\b{name};(?:desc=\"[^\"]*\";)?dur=([\d.]+)", answer.headers["server-timing"])
    assert found, answer.headers
    return float(found[1])


def test_logs_and_the_response_have_the_id_of_the_trace(url: str, tmp_path: Path) -> None:
    answer = httpx.get(f"{url}/logs")
    version, trace, span, flags = answer.headers["traceresponse"].split("-")
    assert (version, flags) == ("00", "01")
    assert answer.json() == [trace] * 3  # on the loop, in a thread, in an executor
    assert answer.headers["x-own"] == "kept"
    assert f'desc="00-{trace}-{span}-01"' in answer.headers["server-timing"]
    written = "".join(one.read_text() for one in wait_for(tmp_path, trace))
    assert trace in written
    assert span in written


def wait_for(folder: Path, text: str) -> list[Path]:
    until_s = time.monotonic() + 20
    while time.monotonic() < until_s and not any(text in one.read_text() for one in folder.iterdir()):
        time.sleep(0.1)
    return [*folder.iterdir()]


def test_the_wait_before_the_handler_is_told(url: str) -> None:
    httpx.get(f"{url}/logs")  # the framework's first request is slow
    blocker = threading.Thread(target=httpx.get, args=(f"{url}/holds",))
    blocker.start()
    time.sleep(0.05)
    sent_s = time.perf_counter()
    answer = httpx.get(f"{url}/logs")
    took_ms = (time.perf_counter() - sent_s) * 1000
    blocker.join()
    assert timing(answer, "before") + timing(answer, "handler") <= took_ms
    assert timing(answer, "before") > 100 > timing(answer, "handler") > 0


def test_nothing_is_told_unasked(tmp_path: Path) -> None:
    with traced_service(tmp_path, app=APP) as url:
        headers = httpx.get(f"{url}/logs").headers
    assert not {"traceresponse", "server-timing"} & set(headers)


def test_another_server_tells_it_too(tmp_path: Path) -> None:
    pytest.importorskip("hypercorn")
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "whywait", "run", "--output", str(tmp_path), "--", sys.executable, "-m", "hypercorn", APP,
         "--bind", f"127.0.0.1:{port}"], stderr=subprocess.DEVNULL, env={**os.environ, **ASKS},
    )  # fmt: skip
    try:
        wait_for_port(port)
        answer = httpx.get(f"http://127.0.0.1:{port}/logs")
        assert answer.json() == [answer.headers["traceresponse"].split("-")[1]] * 3
        assert timing(answer, "handler") > 0
    finally:
        process.terminate()
        process.wait(30)


def wait_for_port(port: int) -> None:
    for _ in range(200):
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError(f"nothing listens on port {port}")
