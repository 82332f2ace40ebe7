"""The command in a pipe, in a terminal and at its end."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.analysis.cli.test_cli import ROOT, refused, whywait
from tests.analysis.live.traces import BUSY, QUEUED, lines_of, one
from tests.children import heed_interrupts

COMMAND = [sys.executable, "-m", "whywait", "top"]


def take_the_terminal() -> None:
    """In the child: what is typed there is for it."""
    heed_interrupts()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def written(path: Path, first: int = 1, count: int = 20, endpoint: str = "GET /slow") -> None:
    with path.open("ab") as file:
        for number in range(first, first + count):
            lines = lines_of(one(QUEUED if number % 2 else BUSY, "GET /", number))
            name = json.dumps(endpoint).encode()  # escaped: it may be no Unicode at all
            file.writelines(line.replace(b'"GET /"', name) for line in lines)


def test_once_tells_causes_rates_and_the_worst(tmp_path: Path) -> None:
    written(tmp_path / "traces.jsonl")
    done = whywait("top", str(tmp_path), "--once")
    assert done.returncode == 0, done.stderr
    assert "GET /slow" in done.stdout
    assert "pool_queue 2.5" in done.stdout
    assert "loop_busy 3.0" in done.stdout
    assert "loop lag 3.0 ms per request" in done.stdout
    assert re.search(r"worst 16.0 ms  GET /slow: .*  trace \w{32}", done.stdout)
    assert "\x1b" not in done.stdout
    assert "lost" not in done.stdout


def test_once_says_what_an_estimate_rests_on(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").write_bytes(b"".join(lines_of(one(QUEUED, "GET /", 1, 50.0))))
    done = whywait("top", str(tmp_path), "--once")
    assert "(estimated from 1 trace)" in done.stdout


def test_once_takes_the_last_seconds_only(tmp_path: Path) -> None:
    written(tmp_path / "traces.jsonl", 1, 4, "GET /before")
    written(tmp_path / "traces.jsonl", 60_000, 4, "GET /now")
    done = whywait("top", str(tmp_path), "--once")
    assert "GET /now" in done.stdout
    assert "GET /before" not in done.stdout
    both = whywait("top", str(tmp_path), "--once", "--seconds", "120")
    assert "GET /before" in both.stdout


@pytest.mark.parametrize(
    ("source", "says"), [("-", "cannot be followed"), ("http://jaeger:16686", "cannot be followed"), ("/nowhere/at/all", "exist")]
)  # fmt: skip
def test_what_cannot_be_followed_is_refused(source: str, says: str) -> None:
    refused(whywait("top", source, "--once"), says)


def test_nothing_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "traces.jsonl").touch()
    refused(whywait("top", str(tmp_path), "--once"), "has no request")


def test_losses_are_told(tmp_path: Path) -> None:
    written(tmp_path / "traces.jsonl")
    with (tmp_path / "traces.jsonl").open("ab") as file:
        file.write(b"nonsense\n")
    done = whywait("top", str(tmp_path), "--once")
    assert "lost since the beginning: 1 × line" in done.stdout


def test_hostile_names_stay_names(tmp_path: Path) -> None:
    written(tmp_path / "traces.jsonl", endpoint="GET \x1b[2J[red]/\u202e\x07\ud83d")
    done = whywait("top", str(tmp_path), "--once")
    assert done.returncode == 0, done.stderr
    for mark in ("\x1b", "\u202e", "\x07"):
        assert mark not in done.stdout
    assert "[red]/" in done.stdout  # no markup either


def wait_for(condition: object, seconds: float = 60) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_in_a_pipe_it_prints_plain_views_until_it_is_ended_with_0(tmp_path: Path, number: int) -> None:
    path = tmp_path / "traces.jsonl"
    out = tmp_path / "out.txt"
    path.touch()
    with out.open("wb") as file:
        process = subprocess.Popen(
            [*COMMAND, str(path), "--seconds", "2"], cwd=ROOT, stdout=file, stderr=subprocess.PIPE,
            preexec_fn=heed_interrupts,
        )  # fmt: skip
        try:
            wait_for(lambda: "waiting: no request yet" in out.read_text())
            written(path)
            wait_for(lambda: "pool_queue" in out.read_text())
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, said) == (0, b"")
    assert "\x1b" not in out.read_text()


class Terminal:
    """The other end of a terminal of 100 × 40 in which the command runs."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.theirs = theirs
        self.before = termios.tcgetattr(theirs)
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            preexec_fn=take_the_terminal,
        )  # fmt: skip
        self.seen = ""

    def see(self, text: str, seconds: float = 60) -> None:
        """Reads until the text was seen."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} was not shown: {self.seen[-2000:]!r}"
            self.read(0.2)

    def read(self, seconds: float) -> None:
        ready, _, _ = select.select([self.ours], [], [], seconds)
        if ready:
            self.seen += os.read(self.ours, 65536).decode(errors="replace")

    def press(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def end(self) -> int:
        """Its exit code; the terminal must be as it was."""
        deadline = time.monotonic() + 60
        while self.process.poll() is None and time.monotonic() < deadline:
            self.read(0.1)
        code = self.process.wait(1)
        while select.select([self.ours], [], [], 0.1)[0]:
            self.read(0.1)
        assert termios.tcgetattr(self.theirs) == self.before
        return code


@contextmanager
def terminal(*arguments: str, **environment: str) -> Iterator[Terminal]:
    one = Terminal(list(arguments), environment)
    try:
        yield one
    finally:
        one.process.kill()
        one.process.wait()
        os.close(one.ours)
        os.close(one.theirs)


def test_in_a_terminal_it_refreshes_and_leaves_the_last_view(tmp_path: Path) -> None:
    path = tmp_path / "traces.jsonl"
    with terminal(str(tmp_path)) as screen:
        screen.see("waiting: no trace file yet")
        written(path)
        screen.see("GET /slow")
        written(path, 100, 10, "GET /second")
        screen.see("GET /second")
        screen.press("x")
        screen.press("\x03")
        assert screen.end() == 0
        assert "\x1b[?1049h" in screen.seen  # a screen of its own
        after = screen.seen.split("\x1b[?1049l")[-1]
        assert "GET /second" in after
        assert "\x1b[?25h" in screen.seen  # the cursor is back


def test_sigterm_puts_the_terminal_in_order_too(tmp_path: Path) -> None:
    with terminal(str(tmp_path)) as screen:
        screen.see("waiting")
        screen.process.terminate()
        assert screen.end() == 0
        assert "\x1b[?1049l" in screen.seen


def test_no_color_is_respected(tmp_path: Path) -> None:
    written(tmp_path / "traces.jsonl")
    with terminal(str(tmp_path), "--once") as screen:
        assert screen.end() == 0
        assert "\x1b[" in screen.seen
    with terminal(str(tmp_path / "later"), NO_COLOR="1") as screen:
        screen.see("waiting")
        screen.press("\x03")
        assert screen.end() == 0
        assert "\x1b[33m" not in screen.seen


def test_a_dumb_terminal_gets_plain_text(tmp_path: Path) -> None:
    with terminal(str(tmp_path), "--seconds", "1", TERM="dumb") as screen:
        screen.see("waiting")
        screen.process.send_signal(signal.SIGINT)
        assert screen.end() == 0
        assert "\x1b" not in screen.seen


def test_a_service_that_is_not_there_is_said_with_those_that_are(tmp_path: Path) -> None:
    written(tmp_path / "traces.jsonl")
    refused(whywait("top", str(tmp_path), "--once", "--service", "elsewhere"), "'elsewhere'", "there are: '")
    with terminal(str(tmp_path), "--service", "elsewhere") as screen:
        screen.see("waiting: no request yet")
        written(tmp_path / "traces.jsonl", 100)
        screen.see("waiting: no request of service 'elsewhere'; there are:")
        screen.press("\x03")
        assert screen.end() == 0
