"""Real servers of several processes, asked by many clients at once, and what came of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.service import ROOT, get

CLIENTS = 8
STOP_S = 60


@dataclass
class Served:
    """A server while it runs: where it is, and, once it has ended, what it said."""

    url: str
    process: "subprocess.Popen[bytes]"
    said: str = field(default="")


@contextmanager
def serving(
    command: Sequence[str], port: int, log: Path, *, environment: Mapping[str, str] = {}, path: str = "/idle"
) -> Iterator[Served]:
    """Runs a server until the block is left, then ends it as an operator would, by SIGTERM."""
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), **environment}, stdout=sink, stderr=sink
        )
    served = Served(f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_up(served, path, log)
        yield served
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise
        served.said = log.read_text()


def _wait_until_up(served: Served, path: str, log: Path) -> None:
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        if served.process.poll() is not None:
            raise RuntimeError(f"the server ended at start: {log.read_text()[-2_000:]}")
        try:
            get(f"{served.url}{path}")
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"the server did not answer within a minute: {log.read_text()[-2_000:]}")


def traced(output: Path, *command: str) -> list[str]:
    """The command under `whywait run`."""
    return [sys.executable, "-m", "whywait", "run", "--output", str(output), "--", *command]


def ask_many(url: str, names: Sequence[str], path: str = "/ask") -> list[dict[str, Any]]:
    """The answers to one question each, put by several clients at once."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return [json.loads(one) for one in clients.map(lambda name: get(f"{url}{path}/{name}"), names)]


def ask_all_workers(url: str, workers: int = 2, each: int = 10) -> list[dict[str, Any]]:
    """Asks on until every worker, some of which come up later than others, has answered `each` times."""
    answers: list[dict[str, Any]] = []
    deadline_s = time.monotonic() + 60
    while time.monotonic() < deadline_s:
        answers += ask_many(url, [f"request-{len(answers) + number}" for number in range(40)])
        times = Counter(answer["processes"][0] for answer in answers)
        if len(times) == workers and min(times.values()) >= each:
            return answers
    raise AssertionError(f"not all workers answered: {times}")
