"""However a service ends, its exit code is its own, it ends at most a second later, and no request that ended is lost."""

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from testbed.service import free_port
from tests.children import heed_interrupts
from tests.tracer.conftest import read
from tests.unharmed.serving import traced
from whywait import analysis
from whywait.tracer.host.native import native_core
from whywait.tracer.hotpath import core

REQUESTS = 30
CLIENTS = 16
MANY = 300  # of `/parts`: with them the exporter is some seconds behind
MORE_S = 1.0
PATIENCE_S = 60
GRACE_S = 1


@pytest.fixture(autouse=True)
def _the_time_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHYWAIT_EXIT_S", raising=False)


class End(NamedTuple):
    """How a process ended: its exit code, and how long that took, s."""

    code: int
    took_s: float


def get(port: int, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        with connection.getresponse() as response:
            response.read()


def hang(port: int) -> None:
    """Send a request that does not end; return when it is being served."""
    threading.Thread(target=get, args=(port, "/hang"), daemon=True).start()
    time.sleep(0.3)


def until_served(port: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return
        time.sleep(0.02)


def ended(way: str, loop: str, output: Path | None, *, parts: int = 0) -> End:
    port = free_port()
    command = [
        sys.executable, "-m", "uvicorn", "tests.unharmed.ending_app:app", "--port", str(port), "--log-level",
        "critical", "--loop", loop, "--timeout-graceful-shutdown", str(GRACE_S),
    ]  # fmt: skip
    if output is not None:
        command = traced(output, *command)
    fails_at = way if way in ("startup", "shutdown") else ""
    process = subprocess.Popen(
        command, env=os.environ | {"FAILS_AT": fails_at}, preexec_fn=heed_interrupts, stderr=subprocess.DEVNULL
    )
    try:
        if way != "startup":
            until_served(port)
            for _ in range(REQUESTS):
                get(port, "/work")
            with ThreadPoolExecutor(CLIENTS) as clients:
                list(clients.map(lambda _: get(port, "/parts"), range(parts)))
        if way == "hang":
            hang(port)
        start_s = time.monotonic()
        if way == "exit":
            get(port, "/exit")
        elif way != "startup":
            process.send_signal(signal.SIGINT if way == "SIGINT" else signal.SIGTERM)
        code = process.wait(PATIENCE_S)
        return End(code, time.monotonic() - start_s)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    ("way", "loop"),
    [("SIGTERM", "asyncio"), ("SIGINT", "uvloop"), ("hang", "asyncio"), ("exit", "uvloop"), ("shutdown", "asyncio")],
)
def test_an_end_is_the_services_own(way: str, loop: str, tmp_path: Path) -> None:
    plain = ended(way, loop, None)
    found = ended(way, loop, tmp_path / "traces")
    assert found.code == plain.code
    assert found.took_s <= plain.took_s + MORE_S
    spans = [span for path in (tmp_path / "traces").iterdir() for span in read(path)]
    roots = [span for span in spans if span["root"] and span.parent_id]
    served = [span for span in spans if span.span_id in {one.parent_id for one in roots}]
    assert sum(span.name.startswith("GET /work") for span in served) == REQUESTS


@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "exit"])
def test_a_backlog_does_not_delay_the_end_and_what_it_costs_is_told(way: str, tmp_path: Path) -> None:
    """The report counts each request that was answered: as analysed, as lost at the end, or by its spans."""
    plain = ended(way, "uvloop", None, parts=MANY)
    found = ended(way, "uvloop", tmp_path / "traces", parts=MANY)
    assert found.code == plain.code
    assert found.took_s <= plain.took_s + MORE_S
    result = analysis.analyze(tmp_path / "traces")
    answered = result.requests["endpoint"].isin(["GET /work", "GET /parts"]).sum()
    (told,) = [one for one in result.findings if one.code == "lost-records"]
    (lost,) = re.findall(r"(\d+) × request at the process's end", told.message)
    # on a busy machine the time may be over in the midst of a request's spans
    unwritten = sum(map(int, re.findall(r"(\d+) × span for the file", told.message)))
    assert 0 <= REQUESTS + MANY - answered - int(lost) <= unwritten


def test_with_more_time_a_backlog_is_recorded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHYWAIT_EXIT_S", "60")
    ended("SIGTERM", "uvloop", tmp_path / "traces", parts=MANY)
    result = analysis.analyze(tmp_path / "traces")
    assert len(result.requests) == REQUESTS + MANY
    assert not [one for one in result.findings if one.code == "lost-records"]


def test_a_service_that_does_not_come_up_ends_as_without(tmp_path: Path) -> None:
    assert ended("startup", "asyncio", tmp_path / "traces").code == ended("startup", "asyncio", None).code


def test_an_exit_of_a_forked_child_is_plain(tmp_path: Path) -> None:
    """The parent's session goes on: the child stopped nothing."""
    program = (
        "import os, threading, whywait\n"
        f"whywait.start(output={str(tmp_path)!r})\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(5 if threading.active_count() == 1 else 6)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5\n"
        "with whywait.phase('after'): pass\n"
        "os._exit(3)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 3
    assert any(span.name == "after" for path in tmp_path.iterdir() for span in read(path))


@pytest.mark.skipif(core.name != native_core.NATIVE, reason="the native core is not built")
def test_sigterm_ends_a_long_call_of_c(tmp_path: Path) -> None:
    """The default action waits for nobody; a handler of Python, as whywait's in its place, for the end of the call."""
    program = "print('in C', flush=True); sum(range(2_000_000_000))"
    with subprocess.Popen(
        [sys.executable, "-m", "whywait", "run", "-o", str(tmp_path), "--", sys.executable, "-c", program],
        stdout=subprocess.PIPE,
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            begin_s = time.monotonic()
            process.terminate()
            assert process.wait(PATIENCE_S) == -signal.SIGTERM
            assert time.monotonic() - begin_s < MORE_S + 0.5  # for the kernel, on a busy machine
        finally:
            process.kill()


@pytest.mark.parametrize("how", ["execv", "execvp", "execve"])
def test_a_program_that_becomes_another_loses_nothing(how: str, tmp_path: Path) -> None:
    """As a service does that starts itself anew. A program that is not there changes nothing."""
    program = tmp_path / "program.py"
    program.write_text(
        "import contextlib, os, sys, whywait\n"
        "with whywait.phase('work'): pass\n"
        "with contextlib.suppress(OSError): os.execvp('/nowhere/python', ['python'])\n"
        "with whywait.phase('work'): pass\n"
        "left = int(os.environ.get('LEFT', '2'))\n"
        "os.environ['LEFT'] = str(left - 1)\n"
        f"how, rest = os.{how}, [os.environ] if {how!r} == 'execve' else []\n"
        "if left: how(sys.executable, [sys.executable, *sys.argv], *rest)\n"
        "sys.exit(5)\n"
    )
    done = subprocess.run(
        traced(tmp_path / "traces", sys.executable, str(program)), capture_output=True, text=True, check=False
    )
    assert done.returncode == 5
    first, last = done.stderr.splitlines()
    assert first.startswith("whywait: traces go to ")
    assert last.startswith("whywait: 6 requests traced, ")
    spans = [span for path in (tmp_path / "traces").iterdir() for span in read(path)]
    assert sum(span.name == "work" for span in spans) == 6


def test_an_end_without_a_folder_for_temporary_files_is_quiet(tmp_path: Path) -> None:
    """As in a container whose only place to write to is a volume for traces."""
    program = "import tempfile, whywait; tempfile.tempdir = None; tempfile._candidate_tempdir_list = list\n"
    program += "with whywait.phase('work'): pass"
    done = subprocess.run(
        traced(tmp_path / "traces", sys.executable, "-c", program), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "1 request traced" in done.stderr


@pytest.mark.parametrize("closes", ["the shell", "the service"])
def test_without_standard_error_nothing_comes_to_standard_output(closes: str, tmp_path: Path) -> None:
    program = "import sys, whywait; sys.stderr = None\nwith whywait.phase('work'): print('own')"
    command = traced(tmp_path / "traces", sys.executable, "-c", program)
    if closes == "the shell":
        command = ["sh", "-c", '"$@" 2>&-', "sh", *command]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "own\n")
    assert any(span.name == "work" for path in (tmp_path / "traces").iterdir() for span in read(path))
