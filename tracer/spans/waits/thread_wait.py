"""The contents of a thread's wait span: its name, the lock, and the lock's holder. Pure."""

from collections.abc import Sequence
from itertools import pairwise

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place, is_library
from whywait.tracer.records.lock_holds import Hold, Stood, Waited
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
    at = "" if is_library(place.file) else f" ({place.file.rsplit('/', 1)[-1]}:{place.line})"
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
        place = stood_at(hold.stood, at, end_ns) or hold.place
        key = (*_holder(hold), place and place.function)
        known = found.get(key)
        if known is None:
            name = place.function if place is not None else hold.name
            known = Blocker(name, place, hold.trace_id, hold.span_id, 0, 0, hold.thread_name)
        found[key] = known._replace(ns=known.ns + end_ns - at, times=known.times + 1)
        at = end_ns
    return list(found.values())


def stood_at(stood: Stood | None, start_ns: int, end_ns: int) -> Place | None:
    """Return where the holder awaited longest in this part of its hold; None where it ran for longer than there."""
    if stood is None:
        return None
    start_ns = max(start_ns, stood.since_ns)
    sums: dict[Place, int] = {}
    for from_ns, until_ns, place in stood.waits:
        if (inside_ns := min(until_ns, end_ns) - max(from_ns, start_ns)) > 0:
            sums[place] = sums.get(place, 0) + inside_ns
    longest = max(sums, key=lambda one: sums[one], default=None)
    ran_ns = end_ns - start_ns - sum(sums.values())
    return longest if longest is not None and sums[longest] >= ran_ns else None
