"""Runs the demo service as a child process, traced or not, that never outlives whoever started it."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 180.0  # training included, on a slow machine
STOP_GRACE_S: Final = 60.0
_TRACES_S: Final = 40.0  # for the last traces; a process killed before has written requests without their roots
LOG_LINES: Final = 8
_PR_SET_PDEATHSIG: Final = 1


class ServerError(Exception):
    """The service did not come up or went away; the message says why, with its last log lines."""


@dataclass(frozen=True, slots=True)
class ServerPlan:
    """What to start and where its output goes."""

    port: int  # 0: any free one
    loop: str  # "asyncio" or "uvloop"
    traces: Path | None  # None: untraced
    log: Path
    environment: Mapping[str, str]


def free_port(wanted: int) -> int:
    """`wanted` if nothing listens there, or a free port for 0; raises `ServerError` if it is busy."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise ServerError(
                f"port {wanted} cannot be used ({error.strerror}); choose another, or 0 for a free one"
            ) from error
        port: int = probe.getsockname()[1]
        return port


def command(plan: ServerPlan, port: int) -> list[str]:
    """The command line: `whywait run` around uvicorn, as a user would type it; or uvicorn alone."""
    traced = [sys.executable, "-m", "whywait", "run", "--output", str(plan.traces), "--"]
    if plan.traces is None:
        traced = []
    served = [sys.executable, "-m", "uvicorn", "demo_service.app:app", "--host", HOST, "--port", str(port)]
    return [*traced, *served, "--loop", plan.loop, "--no-access-log"]


_LAST_BREATH_S = 0.5


@contextmanager
def running(plan: ServerPlan, waiting: Callable[[], None]) -> Iterator[str]:
    """The base URL of a service that is ready (`waiting` is called meanwhile); it is stopped on the way out. Raises
    `ServerError` if the port is busy or it dies."""
    port = free_port(plan.port)
    with plan.log.open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, our own arguments
            command(plan, port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"WHYWAIT_EXIT_S": str(_TRACES_S), **os.environ, **plan.environment},
            start_new_session=True,  # a Ctrl-C in the terminal is ours to handle, in order
            preexec_fn=_die_with_parent(os.getpid()),
        )
    try:
        url = f"http://{HOST}:{port}"
        _wait_until_ready(process, url, plan.log, waiting)
        try:
            yield url
        except Exception as error:
            with suppress(subprocess.TimeoutExpired):
                process.wait(_LAST_BREATH_S)  # a killed process closes its port before it can be waited for
            if process.poll() is not None:  # its end explains the error better than the error does
                raise ServerError(_died(process, plan.log)) from error
            raise
    finally:
        stop(process)


def stop(process: subprocess.Popen[bytes], grace_s: float = STOP_GRACE_S) -> None:
    """Ends the process and its group: SIGTERM, which lets it finish requests and write its traces,
    and SIGKILL for what is left after `grace_s` or when interrupted meanwhile."""
    try:
        if process.poll() is None:
            process.terminate()
            process.wait(grace_s)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path, waiting: Callable[[], None]) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    with httpx.Client(base_url=url, timeout=5, trust_env=False) as http:
        while time.monotonic() < deadline_s:
            if process.poll() is not None:
                raise ServerError(_died(process, log))
            try:
                if http.get("/readyz").status_code == 200:
                    return
                failed = http.get("/healthz")
                if failed.status_code != 200:
                    raise ServerError(f"the service cannot serve: {failed.text[:300]}{_last_lines(log)}")
            except httpx.HTTPError:
                pass  # the port is not open yet
            waiting()
            time.sleep(0.1)
    raise ServerError(f"the service was not ready within {START_TIMEOUT_S:.0f} s{_last_lines(log)}")


def _died(process: subprocess.Popen[bytes], log: Path) -> str:
    return f"the service ended with code {process.returncode}{_last_lines(log)}"


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()[-LOG_LINES:]
    said = "".join(f"\n  | {line}" for line in lines) or " (it logged nothing)"
    return f"; the end of {log}:{said}"


def _die_with_parent(parent_id: int) -> Callable[[], None] | None:
    """For Linux: makes the kernel end the child if we are killed without a chance to stop it."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # looked up before the fork

    def arrange() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent_id:  # it went before we asked
            os._exit(1)

    return arrange
