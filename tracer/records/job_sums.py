"""Sums of short jobs that an activity awaited one after another, where a request has too many to keep each."""

from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Final, NamedTuple

from whywait.tracer.records.ids import new_span_id

# a task that only yields, as by `asyncio.sleep(0)`, keeps the loop running: so short a wait for itself is no wait
TURN: Final = "turn"
TURN_NS: Final = 50_000


class Like(NamedTuple):
    """What like jobs have in common."""

    name: str
    code: CodeType | None
    pool: Any  # a `records.request.Pool`, or None


@dataclass(slots=True, eq=False)
class JobSums:
    """Like jobs, as one; all times but the ids' are sums, ns.

    activity   ...|~~~~~~~~~~~waited~~~~~~~~~~|~wakeup~|~resume~|...     one job, and its part of each sum
    job           |~queue~|~handover~|--run---|
    """

    like: Like
    span_id: int = field(default_factory=new_span_id)
    run_id: int = field(default_factory=new_span_id)
    count: int = 0
    waited_ns: int = 0
    queue_ns: int = 0
    handover_ns: int = 0
    cpu_ns: int = 0
    run_queue_ns: int = 0
    wakeup_ns: int = 0
    resume_ns: int = 0
    inside_ns: dict[str, int] = field(default_factory=dict)  # the jobs' own waits, by kind
    thread: tuple[int, str] = (0, "")  # that ran the latest


@dataclass(slots=True, eq=False)
class Stretch:
    """From the first to the last of such jobs; the activity recorded nothing else meanwhile, so the sums fit in."""

    start_ns: int
    end_ns: int = 0
    is_over: bool = False
    sums: dict[object, JobSums] = field(default_factory=dict)  # by the jobs' code, or name, and pool
    latest: JobSums | None = None  # those of the latest job: most often the next one is like it
