"""Runs one suite in one mode, in a process of its own with a limit, and reads back what it wrote."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.host_suites.compare import Run, parse_run
from benchmarks.host_suites.suites import LIMIT_S, Shipped

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Suite:
    """One process's worth of tests: a module of CPython's, or a library's whole suite."""

    name: str
    borrowed: str = ""  # the `test` folder it is taken from, when the interpreter ships none
    lender: str = ""  # and whose folder that is
    shipped: Shipped | None = None
    folder: Path | None = None  # the unpacked source distribution


def run_suite(python: Path, suite: Suite, mode: str) -> Run:
    """Its outcomes; a process that runs too long is ended, with every process it started."""
    with tempfile.TemporaryDirectory(prefix="whywait-host-") as name:
        room = Path(name)
        results, output, home = room / "results.jsonl", room / "traces", room / "cwd"
        home.mkdir()
        environment = _environment(room)
        if suite.shipped is None:
            command = [str(python), str(HERE / "unittest_process.py"), mode, str(results), str(output)]
            command += [suite.name, suite.borrowed]
        else:
            assert suite.folder is not None
            home = home / "suite"
            shutil.copytree(suite.folder, home)
            environment |= {
                "HOST_MODE": mode,
                "HOST_RESULTS": str(results),
                "HOST_OUTPUT": str(output),
                "PYTHONPATH": str(HERE),
                "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            }
            command = [str(python), "-m", "pytest", "-q", "-p", "whywait_host_plugin"]
            command += ["-p", "no:cacheprovider", *suite.shipped.arguments, "tests"]
        began = time.monotonic()
        with (room / "log").open("wb") as log:
            ended = _finish(command, environment, home, log.fileno(), suite)
        lines = results.read_text().splitlines() if results.exists() else []
        run = parse_run([json.loads(line) for line in lines], ended, time.monotonic() - began)
        run.details["(process)"] = (room / "log").read_text(errors="replace")[-3_000:]
        return run


def _finish(command: list[str], environment: dict[str, str], cwd: Path, log: int, suite: Suite) -> str:
    process = subprocess.Popen(
        command, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + LIMIT_S
    # not reaped before its group is ended: a number set free could be somebody else's by then
    while not (over := os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    if not over:
        return "timeout"
    if suite.shipped is not None and code == 1:
        return "ok"  # pytest's word for "some failed": they are counted one by one
    return "ok" if code == 0 else f"exit {code}"


def _environment(room: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    (room / "tmp").mkdir()
    return kept | {"TMPDIR": str(room / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
