"""What ended the waits for a lock, a condition or a semaphore: the holds of others."""

from collections.abc import Sequence
from typing import NamedTuple

from whywait.tracer.host.code_location import Place


class Hold(NamedTuple):
    """One hold of a lock, recorded at its release for those who wait; or what ended a wait for a signal."""

    end_ns: int
    place: Place | None  # where it was released, or the signal given
    trace_id: int
    span_id: int
    name: str
    thread_name: str


class Release(NamedTuple):
    """A task released what others waited for; the first of them was woken meanwhile."""

    start_ns: int
    end_ns: int
    place: Place


class Waited(NamedTuple):
    """What a thread waited for inside the function it ran."""

    what: str  # "threading.Lock", "time.sleep"
    made_at: Place | None = None  # a lock
    holds: Sequence[Hold] = ()  # those that ended meanwhile, in order of time
    waiters: int = 0
    handler: str = ""  # the logging handler it was inside of
    end_seen: bool = True  # whether the moment that ended it is known apart from the return to Python
    # where that is not: how often the thread slept in a call that blocks once, its way back included, -1 where that
    # was not counted; None: it may block more than once
    sleeps: int | None = None
