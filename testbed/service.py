"""Runs the service of known delays under real uvicorn and `whywait run`, and hands out its address."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def traced_service(
    output: Path, *, app: str = "tests.truth.app:app", loop: str = "asyncio", environment: Mapping[str, str] = {}
) -> Iterator[str]:
    """Yields the base URL; the traces are complete in `output` once the block is left."""
    port = free_port()
    command = [
        sys.executable, "-m", "whywait", "run", "--output", str(output), "--",
        sys.executable, "-m", "uvicorn", app, "--host", "127.0.0.1", "--port", str(port),
        "--loop", loop, "--log-level", "warning",
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env={"WHYWAIT_EXIT_S": "20", **os.environ, **environment}, stderr=subprocess.PIPE
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_up(process, url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            _, said = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
    complaints = [line for line in unusual(said.decode()) if "whywait" in line]
    assert not complaints, complaints


def unusual(said: str) -> list[str]:
    """The lines of a service's standard error without the first and the last of `whywait run`."""
    usual = re.compile(r"whywait: (?:traces go to|(?:no|[\d,]+) requests? (?:were )?traced)")
    return [line for line in said.splitlines() if not usual.match(line)]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def get(url: str) -> str:
    """The body of a GET that must succeed."""
    with urllib.request.urlopen(url, timeout=60) as answer:
        return str(answer.read().decode())


def wait_until_up(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended at start: {process.communicate()[1].decode()[-2000:]}")
        try:
            get(f"{url}/idle")
            return
        except urllib.error.HTTPError as answer:
            answer.close()
            return  # it has no such page, and said so
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError("the service did not answer within a minute")
