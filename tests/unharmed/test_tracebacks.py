"""The tracebacks of a service's errors have its own frames and its libraries', wherever a probe stands between them."""

import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from tests.unharmed.serving import traced

PROGRAM = """
import asyncio, signal, socket, subprocess, threading, time, traceback
from concurrent.futures import ThreadPoolExecutor
import anyio, fastapi, httpx, starlette.testclient, whywait

listening = socket.create_server(("127.0.0.1", 0), backlog=100)
port, app = listening.getsockname()[1], fastapi.FastAPI()
url = f"http://127.0.0.1:{port}"


def told(what, call, *args, **named):
    try:
        call(*args, **named)
    except BaseException as error:
        print(what, type(error).__name__, flush=True)
        traceback.print_exception(error)


def receive():
    with socket.create_connection(("127.0.0.1", port)) as one:
        one.settimeout(0.01)
        one.recv(1)


def interrupted(call, *args):
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    call(*args)


def no_more_threads():
    threading.Thread.start, plain = lambda _: 1 / 0, threading.Thread.start
    try:
        ThreadPoolExecutor(1).submit(print)
    finally:
        threading.Thread.start = plain


@app.get("/blocking")
def blocking():
    told("recv", receive)
    told("httpx", httpx.get, url, timeout=0.02)
    told("subprocess", subprocess.run, ["sleep", "1"], timeout=0.02)
    told("sleep", time.sleep, -1)
    told("pool", no_more_threads)
    raise ValueError


@app.get("/awaiting")
async def awaiting():
    async with httpx.AsyncClient(timeout=0.02) as client:
        await client.get(url)


for path in ("/blocking", "/awaiting"):
    told(path, starlette.testclient.TestClient(app).get, path)
for traced in (False, True):
    with whywait.phase("work") if traced else open("/dev/null"):
        told("^C", interrupted, time.sleep, 5)
        told("^C", interrupted, threading.Event().wait, 5)
told("loop", asyncio.run, asyncio.to_thread(lambda: 1 / 0))
"""
SEEN = [
    "recv TimeoutError", "httpx ReadTimeout", "subprocess TimeoutExpired", "sleep ValueError",
    "pool ZeroDivisionError", "/blocking ValueError", "/awaiting ReadTimeout",
    *["^C KeyboardInterrupt"] * 4, "loop ZeroDivisionError",
]  # fmt: skip


def test_an_error_of_a_service_shows_none_of_our_frames(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    done = subprocess.run(
        traced(tmp_path / "traces", sys.executable, "-W", "ignore", str(program)),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines() == SEEN, done.stderr
    shown = [line for line in done.stderr.splitlines() if line.startswith("  File ")]
    assert len(shown) > len(SEEN)
    assert not [line for line in shown if "/whywait/" in line or "/tracer/" in line]


def test_an_error_of_ours_keeps_its_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    from whywait.tracer.host import introspection

    def wrapper(fails: Any) -> None:
        try:
            fails()
        except BaseException as error:
            introspection.take_this_frame_out(error)
            raise

    def ours() -> None:
        raise ValueError

    monkeypatch.setattr(introspection, "_OURS", __file__)
    with pytest.raises(ValueError) as caught:
        wrapper(ours)
    assert [one.name for one in traceback.extract_tb(caught.tb)][-1] == "ours"
