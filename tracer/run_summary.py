"""The first line of `whywait run`: where traces go. The last: how many requests, where they are, what to type next. The
first Python process, which ends last, prints that; the others leave their counts in one small temporary file."""

import os
import shlex
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from whywait.tracer.config import named_collector

# token:process id of `whywait run`[:process id of the first Python process, which sitecustomize adds[:counts so far, for
# the program that this process may become]]
RUN: Final = "WHYWAIT_RUN"
_MOST_BYTES: Final = 1 << 20
_READ_BY: Final = "(on any machine with pip install 'whywait[analysis]')"

# what begins units of work, by the module that is imported for it
_OBSERVED: Final = (
    "uvicorn", "hypercorn", "granian", "aiohttp.web_protocol", "websockets.asyncio.server", "grpc.aio", "arq", "taskiq",
    "sanic", "tornado.web", "faststream",
)  # fmt: skip
_NOT_OBSERVED: Final = (
    "daphne", "robyn", "twisted", "celery", "rq", "dramatiq", "huey", "aiokafka", "aio_pika", "nats",
    "aiomqtt", "apscheduler", "procrastinate", "saq", "temporalio", "discord", "aiogram", "telegram", "slack_bolt",
    "websockets.legacy.server", "socketio", "asyncssh",
)  # fmt: skip


class _Count:
    """What this process has traced: requests that ended, and those of them that became spans."""

    def __init__(self) -> None:
        self.ended = self.kept = self.loops = 0
        self.said = False
        _, *pids = os.environ.get(RUN, "").split(":")
        if len(pids) == 4 and pids[1] == str(os.getpid()):  # those of the program that this process was before
            self.ended, self.kept = int(pids[2]), int(pids[3])


_here: Final = _Count()


def say_where(targets: Sequence[str]) -> None:
    tell(f"whywait: traces go to {' and to '.join(targets)}")


def tell(line: str) -> None:
    """Print a line to standard error. Without one `print` would take standard output, which is the service's."""
    if sys.stderr is not None:
        with suppress(OSError, ValueError, AttributeError):  # it may be closed, or the service's own object
            print(line, file=sys.stderr, flush=True)


def new_run() -> str:
    """Return the value of `RUN` for a run that this process begins."""
    return f"{os.urandom(8).hex()}:{os.getpid()}"


def add(by_decision: Mapping[str, int], loops: int = 0, environ: Mapping[str, str] = os.environ) -> None:
    """Count a session's requests, by why they were kept ("" = dropped), and its loops. Called when the session has ended."""
    ended, kept = sum(by_decision.values()), sum(by_decision.values()) - by_decision.get("", 0)
    token, *pids = environ.get(RUN, "").split(":")
    if pids[:2][-1:] == [str(os.getpid())]:
        _here.ended += ended
        _here.kept += kept
        _here.loops += loops
        if len(pids) > 1:
            os.environ[RUN] = ":".join((token, *pids[:2], str(_here.ended), str(_here.kept)))
    elif ended and token.isalnum():
        with suppress(OSError):
            file = os.open(_counts(token), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, f"{ended} {kept}\n".encode())
            finally:
                os.close(file)


def say(environ: Mapping[str, str] = os.environ) -> None:
    """Print the line, if this is the process that does. Called when the process ends; never raises."""
    token, *pids = environ.get(RUN, "").split(":")
    if len(pids) < 2 or pids[1] != str(os.getpid()) or not token.isalnum() or _here.said:
        return
    _here.said = True
    ended, kept = _of_others(token)
    line = _line(ended + _here.ended, kept + _here.kept, environ)
    if line and (ended + _here.ended or pids[0] == pids[1]):  # a helper of a start script has nothing to say
        tell(line)


def collector(environ: Mapping[str, str]) -> str:
    """Return the collector's address for messages, without user and password; "" where none is set."""
    _, found = named_collector(environ)
    if not found:
        return ""
    try:
        parts = urlsplit(found)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}" if parts.netloc else "the collector"
    except ValueError:
        return "the collector"


def _counts(token: str) -> Path:
    return Path(tempfile.gettempdir()) / f"whywait-run-{token}"


def _of_others(token: str) -> tuple[int, int]:
    ended = kept = 0
    with suppress(OSError, ValueError):  # there may be no folder for temporary files
        path = _counts(token)
        with path.open("rb") as file:
            lines = file.read(_MOST_BYTES).decode().splitlines()
        path.unlink()
        for line in lines:
            one, other = map(int, line.split())
            ended, kept = ended + one, kept + other
    return ended, kept


def _line(ended: int, kept: int, environ: Mapping[str, str]) -> str:
    if not ended:
        return f"whywait: no requests were traced. {_seen()}"
    counted = f"whywait: {ended:,} request{'s' if ended != 1 else ''} traced"
    if kept < ended:
        counted += f", {kept:,} of them kept as spans"
    output, target = environ.get("WHYWAIT_OUTPUT"), collector(environ)
    if not output:
        service = environ.get("WHYWAIT_SERVICE_NAME") or environ.get("OTEL_SERVICE_NAME") or "SERVICE"
        return f"{counted}, sent to {target}. Next, if that is Jaeger: whywait report JAEGER_URL --service {service} {_READ_BY}.{_core()}"
    sent = f" and {target}" if target else ""
    return f"{counted}, in {output}{sent}. Next: whywait report {_short(output)} {_READ_BY}.{_core()}"


def _core() -> str:
    """Which core recorded, where this process has recorded."""
    core = sys.modules.get("whywait.tracer.hotpath.core")
    return f" Recorded by the {core.name} core." if core is not None else ""


def _seen() -> str:
    """What runs units of work here, and how to have them traced."""
    known = [name for name in _OBSERVED if name in sys.modules]
    others = [name for name in _NOT_OBSERVED if name in sys.modules]
    mark = "put @whywait.traced on the function that does one unit of its work (a message, a job, a call)"
    if others:
        return f"It imported {', '.join(others)}, whose work whywait does not know: {mark}"
    if known:
        return f"It imported {', '.join(known)}: if it answered some, run `whywait doctor`; if it only calls others, {mark}"
    loop = "ran an event loop" if _here.loops else "ran no event loop in its first process"
    return f"It imported no server that whywait knows and {loop}: {mark}; if it answered requests, run `whywait doctor`"


def _short(output: str) -> str:
    """Return a path as a shell takes it, relative where that is shorter."""
    try:
        relative = os.path.relpath(output)
    except (OSError, ValueError):  # the working folder is gone
        relative = output
    return shlex.quote(min(relative, output, key=len))
