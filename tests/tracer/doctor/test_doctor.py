"""The doctor: true of this machine, clear about what others lack, and nothing left behind (the conftest looks)."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from whywait.tracer.doctor import State, cli, interpreter, kernel
from whywait.tracer.doctor.check import Check, info, no, yes
from whywait.tracer.host import thread_clocks
from whywait.tracer.sampler.gil_address import gil_address

ROOT = Path(__file__).resolve().parents[3]
NAMES = [
    "installation", "python", "core", "gil", "opentelemetry", "uvloop", "settings", "probes", "system",
    "run_queue", "syscall_file", "ptrace_scope", "sampler", "gil_holder", "cpus", "cgroup",
]  # fmt: skip


def doctor(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "whywait", "doctor", *words], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, **environ}, timeout=120, check=False,
    )  # fmt: skip


def test_what_it_says_of_this_machine_is_what_the_tracer_finds() -> None:
    done = doctor("--json")
    told = json.loads(done.stdout)
    assert (told["format"], [one["name"] for one in told["checks"]]) == (1, NAMES)
    assert all(set(one) == {"name", "state", "found", "means", "remedy"} for one in told["checks"])
    assert done.returncode == (0 if told["ok"] else 1)
    states = {one["name"]: one["state"] for one in told["checks"]}
    assert (states["run_queue"] == "yes") == thread_clocks.run_queue_available()
    thread_clocks.close_all()
    if gil_address() is None:
        assert states["sampler"] == "no"
    for one in told["checks"]:
        assert bool(one["means"]) == bool(one["remedy"]) == (one["state"] == "no")


def test_as_text_it_ends_with_the_verdict_and_has_no_colours_in_a_pipe() -> None:
    done = doctor(FORCE_COLOR="1")
    assert done.stdout.strip().splitlines()[-1].startswith(("All signals that whywait", "Missing:"))
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_a_switched_off_sampler_is_missing_and_ends_with_1() -> None:
    done = doctor(WHYWAIT_SAMPLER="0")
    assert done.returncode == 1
    assert "Missing: settings" in done.stdout
    assert "gil_wait" in done.stdout


@pytest.mark.parametrize(
    ("environ", "name", "said"),
    [
        ({"WHYWAIT_RESOLUTION_MS": "soon"}, "settings", "soon"),
        ({"OTEL_SDK_DISABLED": "true"}, "opentelemetry", "OTEL_SDK_DISABLED"),
    ],
)
def test_settings_that_prevent_tracing(environ: dict[str, str], name: str, said: str) -> None:
    (found,) = [one for one in interpreter.interpreter_checks(environ) if one.state is State.NO]
    assert found.name == name
    assert said in found.found
    assert found.remedy


def test_a_place_for_traces_that_cannot_be_written_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    environ = {"WHYWAIT_OUTPUT": str(tmp_path / "not" / "yet" / "there")}
    assert interpreter._settings(environ).state is State.YES
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert "not writable" in interpreter._settings(environ).found


def test_other_machines_are_told_what_they_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert kernel._system().state is State.NO
    for scope, state in (("0", State.YES), ("1", State.YES), ("2", State.NO), ("3", State.NO), ("", State.INFO)):
        monkeypatch.setattr(kernel, "read_text", lambda path, said=scope: said + "\n")
        assert kernel._ptrace().state is state
    monkeypatch.setattr(kernel, "gil_address", lambda: None)
    assert [one.state for one in kernel._sampler(yes("syscall_file", ""))] == [State.NO, State.NO]


def test_a_sampler_that_may_not_look_says_so_and_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    class Denied:
        ready, tells_holder, closed = False, True, False
        failure = ""

        def look(self) -> None:
            self.failure = "may not look at this one"

        def header(self) -> object:
            return None

        def close(self) -> None:
            self.closed = True

    process = Denied()
    monkeypatch.setattr(kernel, "gil_address", lambda: object())
    monkeypatch.setattr(kernel, "start_sampler", lambda: process)
    sampler, holder = kernel._sampler(yes("syscall_file", ""))
    assert (sampler.state, holder.state, process.closed) == (State.NO, State.NO, True)
    assert "may not look" in sampler.found
    assert "SYS_PTRACE" in sampler.remedy


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can change its user")
def test_a_process_that_gave_up_its_rights_is_told_why_it_cannot_be_looked_at() -> None:
    code = (
        "import importlib.metadata, os, urllib.request\n"
        "from whywait.tracer.doctor import installation, interpreter, kernel, private_names\n"
        "from whywait.tracer.doctor.cli import main\n"
        # what is imported when first needed might be out of reach by then
        "importlib.metadata.version('opentelemetry-sdk')\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "raise SystemExit(main(['--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    told = {one["name"]: one for one in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1, done.stderr
    assert "not dumpable" in told["syscall_file"]["found"]
    assert told["sampler"]["state"] == told["gil_holder"]["state"] == "no"
    assert "--user" in told["sampler"]["remedy"]


@contextmanager
def serving(status: int, body: bytes) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_exit_code_and_text_follow_the_checks() -> None:
    checks = [yes("a", "there"), info("b", "7"), no("c", "hidden \x1b[31m\u202e", "x is lost", "y")]
    assert not cli.healthy(checks)
    assert cli.healthy([*checks[:2]])
    text = cli.as_text(checks, colours=False)
    assert "so: x is lost" in text
    assert not {"\x1b", "\u202e"} & set(text)
    assert "\x1b[31m" in cli.as_text(checks, colours=True)
    assert cli.as_json([Check("a", State.YES, "f")])["ok"] is True


def test_cpus_are_counted() -> None:
    cpus, group = kernel.cpu_checks()
    assert cpus.found.startswith(f"{len(os.sched_getaffinity(0))} of ")
    assert group.name == "cgroup"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    command = f"{sys.executable} -m whywait doctor --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    assert done.stdout.strip() in ("0", "1")
