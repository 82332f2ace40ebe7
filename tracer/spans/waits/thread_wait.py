"""The contents of a thread's wait span: its name, the lock, and the lock's holder. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from whywait.tracer import schema as s
from whywait.tracer.records.lock_holds import Hold, Waited
from whywait.tracer.records.request import Wait
from whywait.tracer.spans.span_spec import Blocker, Lock

_WORDS = {s.WAIT_LOCK: "lock wait", s.WAIT_LOGGING: "logging wait", s.WAIT_BLOCKING: "blocked"}


def thread_wait_name(wait: Wait) -> str:
    """The span's name, such as "lock wait: transfer (bank.py:31)"."""
    words = _WORDS.get(wait.kind, "blocked")
    what = f" in {wait.waited.what}" if wait.waited is not None and wait.kind != s.WAIT_LOCK else ""
    if wait.site is None:
        return words + what
    place = wait.site.user
    at = f" ({place.file.rsplit('/', 1)[-1]}:{place.line})" if place.file else ""
    return f"{words}{what}: {place.function}{at}"


def lock_of(waited: Waited) -> Lock | None:
    """The awaited lock; None for other waits."""
    if not waited.waiters:
        return None
    changes = sum(_holder(one) != _holder(other) for one, other in pairwise(waited.holds))
    holds = changes + 1 if waited.holds else 0
    return Lock(waited.what.removeprefix("threading."), waited.made_at, waited.waiters, holds)


def _holder(hold: Hold) -> tuple[int, int, str]:
    return hold.trace_id, hold.span_id, hold.thread_name


def holders(start_ns: int, cause_ns: int, holds: Sequence[Hold]) -> list[Blocker]:
    """The holders of the lock from `start_ns` to `cause_ns`, for how long, and in how many holds.

    wait     |-----------------------|
    holds  ------|h1  ----|h2  ------|h3        each lasts from the previous release to its own
    """
    found: dict[object, Blocker] = {}
    at = start_ns
    for hold in holds:
        end_ns = min(hold.end_ns, cause_ns)
        if end_ns <= at:
            continue
        key = (*_holder(hold), hold.place and hold.place.function)
        known = found.get(key)
        if known is None:
            name = hold.place.function if hold.place is not None else hold.name
            known = Blocker(name, hold.place, hold.trace_id, hold.span_id, 0, 0, hold.thread_name)
        found[key] = known._replace(ns=known.ns + end_ns - at, times=known.times + 1)
        at = end_ns
    return list(found.values())
