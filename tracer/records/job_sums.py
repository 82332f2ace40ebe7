"""Sums of short jobs that an activity awaited one after another, where a request has too many to keep each."""

from types import CodeType
from typing import Any, NamedTuple

from whywait.tracer.records.ids import new_span_id


class Like(NamedTuple):
    """What like jobs have in common."""

    name: str
    code: CodeType | None
    pool: Any  # a `records.request.Pool`, or None


class JobSums:
    """Like jobs, as one; all times but the ids' are sums, ns.

    activity   ...|~~~~~~~~~~~waited~~~~~~~~~~|~wakeup~|~resume~|...     one job, and its part of each sum
    job           |~queue~|~handover~|--run---|
    """

    __slots__ = (
        "count", "cpu_ns", "handover_ns", "inside_ns", "like", "queue_ns", "resume_ns", "run_id", "run_queue_ns",
        "span_id", "thread", "waited_ns", "wakeup_ns",
    )  # fmt: skip

    def __init__(self, like: Like) -> None:
        self.like = like
        self.span_id = new_span_id()
        self.run_id = new_span_id()
        self.count = 0
        self.waited_ns = 0
        self.queue_ns = 0
        self.handover_ns = 0
        self.cpu_ns = 0
        self.run_queue_ns = 0
        self.wakeup_ns = 0
        self.resume_ns = 0
        self.inside_ns: dict[str, int] = {}  # the jobs' own waits, by kind
        self.thread = (0, "")  # that ran the latest


class Stretch:
    """From the first to the last of such jobs; the activity recorded nothing else meanwhile, so the sums fit in."""

    __slots__ = ("end_ns", "is_over", "start_ns", "sums")

    def __init__(self, start_ns: int) -> None:
        self.start_ns = self.end_ns = start_ns
        self.is_over = False
        self.sums: dict[object, JobSums] = {}  # by the jobs' code, or name, and pool
