"""Pure: the name and attributes of a wait span of a thread: which lock, who held it, in which handler."""

from collections.abc import MutableMapping, Sequence
from itertools import pairwise
from typing import Any

from whywait.tracer import schema as s
from whywait.tracer.records.lock_holds import Hold, Waited
from whywait.tracer.records.request import Wait
from whywait.tracer.spans.blocker_attributes import Blocker, put_blockers

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


def put_waited(attributes: MutableMapping[str, Any], wait: Wait, waited: Waited) -> Blocker | None:
    """Adds what is known of the lock, its holder and the handler; returns the chief holder."""
    if not waited.end_seen:
        attributes[s.EVIDENCE] = s.EVIDENCE_INFERRED
    if waited.handler:
        attributes[s.HANDLER] = waited.handler
    if not waited.waiters:
        return None
    attributes[s.LOCK_KIND] = waited.what.removeprefix("threading.")
    attributes[s.LOCK_WAITERS] = waited.waiters
    changes = sum(_holder(one) != _holder(other) for one, other in pairwise(waited.holds))
    attributes[s.LOCK_HOLDS] = changes + 1 if waited.holds else 0
    if waited.made_at is not None:
        attributes[s.LOCK_FUNCTION] = waited.made_at.function
        attributes[s.LOCK_FILE] = waited.made_at.file
        attributes[s.LOCK_LINE] = waited.made_at.line
    if wait.kind == s.WAIT_AWAIT:  # an edge: who gave the signal is the waker
        return None
    return _put_holder(attributes, wait, waited.holds)


def _put_holder(attributes: MutableMapping[str, Any], wait: Wait, holds: Sequence[Hold]) -> Blocker | None:
    chief = put_blockers(attributes, holders(wait.start_ns, wait.cause_ns, holds))
    if chief is not None:
        attributes[s.BLOCKER_COUNT] = chief.times
    return chief


def _holder(hold: Hold) -> tuple[int, int, str]:
    return hold.trace_id, hold.span_id, hold.thread_name


def holders(start_ns: int, cause_ns: int, holds: Sequence[Hold]) -> list[Blocker]:
    """Who held the lock from `start_ns` to `cause_ns`, for how long, and in how many holds.

    wait     |-----------------------|
    holds  ------|h1  ----|h2  ------|h3        each lasts from the release before it to its own
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
