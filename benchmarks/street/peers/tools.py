"""The tools: how each is put beside a program, and who reads what it put out."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.street.contract import Load, Program
from benchmarks.street.peers import readers
from benchmarks.street.peers.evidence import Stretch
from benchmarks.street.perform import PROGRAMS, ROOT, Run, Stage, play

_SITE: Final = Path(__file__).parent / "site"
_BIN: Final = Path(sys.executable).parent
Read = Callable[[Program, Path, int], list[Stretch]]


@dataclass(frozen=True)
class Tool:
    """A tool that the programs are run under."""

    package: str
    """Its distribution; the page gives its version."""
    how: str
    """One line for the page: what of it is on."""
    stage: Callable[[Program, Path], Stage]
    read: Read
    loop: str = "asyncio"
    """On which it tells more."""


def run(tool: Tool, program: Program, found: Mapping[str, str], load: tuple[Load, ...]) -> tuple[Run, list[Stretch]]:
    """Runs the program under the tool; what was true, and what the tool shows."""
    with tempfile.TemporaryDirectory(prefix="street-") as scratch:
        out = Path(scratch)
        ran = play(program, tool.loop, found, load, tool.stage(program, out))
        return ran, tool.read(program, out, ran.requests)


def _inside(name: str, before: tuple[str, ...] = (), **environment: str) -> Callable[[Program, Path], Stage]:
    """Set up within the service; ended by SIGINT, after which uvicorn lets the interpreter end in its own way."""

    def stage(program: Program, out: Path) -> Stage:
        told = {
            "PYTHONPATH": os.pathsep.join(map(str, (_SITE, ROOT, PROGRAMS))), "STREET_PEER": name,
            "STREET_PEER_OUT": str(out), "STREET_PEER_PROGRAM": program.name,
            **{key: value.format(out=out, functions=_functions(program)) for key, value in environment.items()},
        }  # fmt: skip
        return Stage([str(_BIN / one) for one in before], told, end=signal.SIGINT)

    return stage


def _functions(program: Program) -> str:
    """The names of all functions of the program, with commas: OpenTelemetry's asyncio spans want them declared."""
    words = (line.split("def ")[1].partition("(")[0] for line in program.source if "def " in line.partition("(")[0])
    return ",".join(sorted(set(words)))


def _pyspy(program: Program, out: Path) -> Stage:
    @contextlib.contextmanager
    def beside(process: int) -> Iterator[None]:
        options = ("--idle", "--threads", "--subprocesses", "--format", "raw", "--full-filenames")
        rate, file = str(readers.PYSPY_RATE), str(out / "folded")
        command = [str(_BIN / "py-spy"), "record", "--pid", str(process), "--rate", rate, "-o", file, *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sampler:
            time.sleep(1)
            try:
                yield
            finally:
                sampler.send_signal(signal.SIGINT)
                sampler.wait(30)

    return Stage([], beside=beside, end=signal.SIGINT)


def _whywait(program: Program, out: Path) -> Stage:
    return Stage([sys.executable, "-m", "whywait", "run", "-o", str(out / "traces"), "--"])


def _reasons(program: Program, out: Path, requests: int) -> list[Stretch]:
    told = subprocess.run(
        [sys.executable, "-m", "whywait", "report", str(out / "traces"), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return readers.whywait(program, json.loads(told))


TOOLS: Final = {
    "whywait": Tool("whywait", "`whywait run`; all reasons of the endpoint", _whywait, _reasons),
    "ddtrace": Tool(
        "ddtrace", "`ddtrace-run` with its profiler: spans, wall time of threads and tasks, locks; from its pprof files; on uvloop, where it sees tasks",
        _inside(
            "ddtrace", ("ddtrace-run",), DD_PROFILING_ENABLED="1", DD_PROFILING_OUTPUT_PPROF="{out}/profile",
            DD_TRACE_AGENT_URL="http://127.0.0.1:9", DD_INSTRUMENTATION_TELEMETRY_ENABLED="0",
            DD_REMOTE_CONFIGURATION_ENABLED="0",
        ),
        readers.ddtrace, "uvloop",
    ),
    "pyinstrument": Tool(
        "pyinstrument", "a profiler of each request in a middleware, `async_mode`, 1 ms, its JSON with all frames",
        _inside("pyinstrument"), readers.pyinstrument,
    ),
    "sentry": Tool(
        "sentry-sdk", "all transactions with spans and profiles, all threads of these; from its envelopes",
        _inside("sentry"), readers.sentry,
    ),
    "py-spy": Tool("py-spy", "`record --idle --threads --subprocesses`, 100 a second", _pyspy, readers.pyspy),
    "logfire": Tool(
        "logfire", "automatic tracing of the program's functions, warnings of slow callbacks from 20 ms on, all libraries",
        _inside("logfire"), readers.spans,
    ),
    "opentelemetry": Tool(
        "opentelemetry-instrumentation", "all instrumentations; asyncio's for every function of the program by name",
        _inside(
            "opentelemetry", OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE="{functions}",
            OTEL_PYTHON_ASYNCIO_TO_THREAD_FUNCTION_NAMES_TO_TRACE="{functions}",
            OTEL_PYTHON_ASYNCIO_FUTURE_TRACE_ENABLED="true",
        ),
        readers.spans,
    ),
}  # fmt: skip
