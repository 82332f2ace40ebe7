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
        if end_ns > at:
            _add_hold(found, hold, at, end_ns)
            at = end_ns
    return list(found.values())


def sharers(start_ns: int, cause_ns: int, released_ns: int, holds: Sequence[Hold]) -> list[Blocker]:
    """The holders of what several may have at once, as the wait's time is divided among them by how long each had it
    meanwhile; who still has it is known once it has given it back.

    wait             |-----------------|
    holds  -----------------------|h1
           |---------------------------------------|h2
                         |--|h3                           h1 and h2 the most of it, h3 little
    """
    found: dict[object, Blocker] = {}
    for hold in holds:
        # who got it without a wait, and gives it back later, may have got it later
        if hold.stood is None or not hold.stood.since_ns or (hold.end_ns > released_ns and not hold.stood.queued):
            continue
        began_ns, end_ns = max(hold.stood.since_ns, start_ns), min(hold.end_ns, cause_ns)
        if end_ns > began_ns:
            _add_hold(found, hold, began_ns, end_ns)
    held_ns = sum(one.ns for one in found.values())
    return [one._replace(ns=one.ns * (cause_ns - start_ns) // held_ns) for one in found.values()]


def _add_hold(found: dict[object, Blocker], hold: Hold, start_ns: int, end_ns: int) -> None:
    place = stood_at(hold.stood, start_ns, end_ns) or hold.place
    key = (*_holder(hold), place and place.function)
    known = found.get(key)
    if known is None:
        name = place.function if place is not None else hold.name
        known = Blocker(name, place, hold.trace_id, hold.span_id, 0, 0, hold.thread_name)
    found[key] = known._replace(ns=known.ns + end_ns - start_ns, times=known.times + 1)


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
