"""Which words of a tool tell which cause: the declared table of the rule. Generous: a hint in a name suffices."""

import re
from dataclasses import dataclass
from typing import Final

from benchmarks.street.peers.evidence import AWAITS, RUNS, SPAN, Frame, State


@dataclass(frozen=True, slots=True)
class Told:
    """How a cause is recognised in the names, source lines and words of a stretch."""

    words: str
    """A regular expression, searched anywhere; "" where the state tells it."""
    states: tuple[State, ...] = (RUNS, AWAITS, SPAN)
    computing: bool = False
    """Only what runs, and whose innermost frame is no blocking call."""

    @property
    def pattern(self) -> "re.Pattern[str]":
        return re.compile(self.words, re.IGNORECASE)


_CALLS: Final = (
    r"http|\bGET\b|\bPOST\b|url|socket|recv|\bread|connect|select|execute|quer|fetch|redis|BLPOP|postgres|subprocess"
    r"|popen|communicate|sleep|wait|poll|\bresult\b|request"
)
CAUSES: Final = {
    "compute": Told("", (RUNS,), computing=True),
    "loop_busy": Told("", (RUNS,)),
    "cpu_wait": Told(r"run.?queue|wait\w* for a CPU|preempt|oversubscri|throttl"),
    "blocking_io": Told(_CALLS, (RUNS, SPAN)),
    "gil_wait": Told(r"\bGIL\b|interpreter.?lock|switch.?interval"),
    "gc_pause": Told(r"\bgc\b|garbage"),
    "lock_wait": Told(r"\block\b|acquire|RLock", (RUNS, SPAN)),
    "logging_wait": Told(r"logging|\bemit\b|handler\.emit|\blog\."),
    "limiter_wait": Told(r"semaphore|limiter|\block\b|acquire|\btoken"),
    "connection_wait": Told(
        r"wait_for_connection|Pool\._?acquire|PoolAcquire|pool\.acquire|getconn|get_connection\b|_do_get|QueuePool"
        r"|wait_for_available_connection|pool[ ._]?(wait|checkout)"
    ),
    "pool_queue": Told(r"executor|sync_to_async|SyncToAsync|thread_sensitive|queue", (AWAITS, SPAN)),
    "pool_startup": Told(r"ProcessPool|spawn|popen|_launch_process|start_executor|process\.start"),
    "await_io": Told(rf"await\b|asyncio|{_CALLS}|queue", (AWAITS, SPAN)),
    "request_io": Told(r"send|drain|\bwrite|receive|body", (AWAITS, SPAN)),
}
CLIENT_SILENT: Final = re.compile(r"receive|recv", re.IGNORECASE)
_BLOCKED: Final = re.compile(
    r"sleep|recv|readinto|\bread\b|select|poll|connect|urlopen|\bwait|acquire|communicate|\.result\(|with lock"
)
_SERVER: Final = frozenset({"run_asgi", "_run_app", "_handle_request", "run_endpoint_function", "_run_sync_endpoint"})


def is_blocked(leaf: str) -> bool:
    """Whether a stack's innermost frame (its name, or the user's line) is a blocking call."""
    return _BLOCKED.search(leaf) is not None


def server_frame(frame: Frame) -> bool:
    """Whether a frame is a server's or framework's that runs a request."""
    return frame.function.split(".")[-1] in _SERVER
