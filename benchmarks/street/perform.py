"""Runs one program under `whywait run`, and tells what was true and what whywait says."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.street.contract import PROGRAMS, Load, Program
from benchmarks.street.drive import Window, covered, drive
from testbed.ended import ended
from testbed.service import free_port

ROOT: Final = PROGRAMS.parents[2]
_START_S: Final = 60


@dataclass(frozen=True, slots=True)
class Performance:
    """One run of a program."""

    truth_ms: float
    """The delay per request, by the program's own stamps."""
    wall_ms: float
    """The mean time that the judged requests took for their clients."""
    cpu_wait_share: float
    """The time in which the program's main thread was runnable and not running, by the kernel, of the run."""
    report: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stage:
    """What a program is run under."""

    before: list[str]
    """Stands before the program's own command."""
    environment: Mapping[str, str] = field(default_factory=dict)
    beside: Callable[[int], AbstractContextManager[object]] = lambda process: nullcontext()
    """Called with the program's process when it listens; held while the requests are sent."""
    end: signal.Signals = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Run:
    """What a program and its clients measured."""

    truth_ms: float
    wall_ms: float
    cpu_wait_share: float
    requests: int


def perform(program: Program, loop: str, found: Mapping[str, str], load: tuple[Load, ...]) -> Performance:
    """Starts the program, sends the requests, ends it, and reads its stamps and whywait's report."""
    with tempfile.TemporaryDirectory(prefix="street-") as scratch:
        traces = str(Path(scratch) / "traces")
        run = play(program, loop, found, load, Stage([sys.executable, "-m", "whywait", "run", "-o", traces, "--"]))
        told = subprocess.run(
            [sys.executable, "-m", "whywait", "report", traces, "--json"],
            cwd=ROOT, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        return Performance(run.truth_ms, run.wall_ms, run.cpu_wait_share, json.loads(told))


def play(program: Program, loop: str, found: Mapping[str, str], load: tuple[Load, ...], stage: Stage) -> Run:
    """Starts the program on a stage, sends the requests, ends it, and reads its stamps."""
    with tempfile.TemporaryDirectory(prefix="street-") as scratch:
        stamps, port = Path(scratch) / "stamps", free_port()
        stamps.touch()
        environment = {
            "WHYWAIT_EXIT_S": "20", **os.environ, **found, **program.environment, "STREET_STAMPS": str(stamps), "STREET_PORT": str(port),
            "STREET_LOOP": loop, "PYTHONPATH": os.pathsep.join([str(ROOT), str(PROGRAMS)]), **stage.environment,
        }  # fmt: skip
        with open(Path(scratch) / "said", "w+") as said:
            service = subprocess.Popen(
                [*stage.before, *_server(program, loop, port)],
                cwd=program.path.parent, env=environment, stdout=said, stderr=said,
            )  # fmt: skip
            with ended(service, 30):
                _until_it_listens(service, port, Path(said.name))
                with stage.beside(service.pid):
                    windows, waited = _measured(service, port, load)
                service.send_signal(stage.end)
                service.wait(30)
        mean_ms = sum(end - begin for begin, end in windows) / len(windows) / 1e6
        return Run(_truth_ms(program, stamps, windows), mean_ms, waited, len(windows))


def _server(program: Program, loop: str, port: int) -> list[str]:
    name = f"{program.name}:app"
    match program.server:
        case "uvicorn":
            own = ["-m", "uvicorn", name, "--port", str(port), "--loop", loop, "--log-level", "warning"]
        case "hypercorn":
            own = ["-m", "hypercorn", name, "--bind", f"127.0.0.1:{port}", "--worker-class", loop]
        case _:
            own = [str(program.path)]
    return [sys.executable, *own, *program.options]


def _until_it_listens(service: "subprocess.Popen[bytes]", port: int, said: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if service.poll() is not None:
            raise RuntimeError(f"the program ended at its start: {said.read_text()[-1500:]}")
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                time.sleep(0.5)
                return
        time.sleep(0.05)
    raise TimeoutError(f"the program does not listen: {said.read_text()[-1500:]}")


def _measured(service: "subprocess.Popen[bytes]", port: int, load: tuple[Load, ...]) -> tuple[list[Window], float]:
    """The windows of the first load, and which share of the run the program's main thread lacked a CPU: that of the process
    that computed most, since hypercorn serves in a child."""
    before, began = _scheduled_ns(service.pid), time.monotonic_ns()
    windows = asyncio.run(drive(port, load))[0]
    after, nothing = _scheduled_ns(service.pid), (0, 0)
    _, queued_ns = max(
        (ran - before.get(one, nothing)[0], queued - before.get(one, nothing)[1])
        for one, (ran, queued) in after.items()
    )
    waited = queued_ns / (time.monotonic_ns() - began)
    time.sleep(0.3)  # what follows an answer belongs to the run
    return windows, waited


def _scheduled_ns(process: int) -> dict[str, tuple[int, int]]:
    """How long the main threads of a process and of its children were on a CPU, and in its queue."""
    found = {}
    for one in (str(process), *Path(f"/proc/{process}/task/{process}/children").read_text().split()):
        with suppress(OSError):  # a child that has ended
            ran, queued = Path(f"/proc/{one}/schedstat").read_text().split()[:2]
            found[one] = int(ran), int(queued)
    return found


def _truth_ms(program: Program, stamps: Path, windows: list[Window]) -> float:
    stretches = [(int(begin), int(end)) for begin, end in map(str.split, stamps.read_text().splitlines())]
    total = covered(stretches, windows) if program.amount == "overlap" else sum(end - begin for begin, end in stretches)
    return total / len(windows) / 1e6
