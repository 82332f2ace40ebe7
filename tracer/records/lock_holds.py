"""What ended the waits for a lock, a condition or a semaphore: the holds of others."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from whywait.tracer.host.code_location import Place


class Stood(NamedTuple):
    """Where a task awaited while it held what it releases, as far as its latest waits tell."""

    since_ns: int  # it held it from then on at the latest
    waits: Sequence[tuple[int, int, Place]]  # start and end, ns; the latest first
    queued: bool = True  # it waited for it itself, until then; else it may have got it at any time since


class Hold(NamedTuple):
    """One hold of a lock, recorded at its release for its waiters; or what ended a wait for a signal."""

    end_ns: int
    place: Place | None  # where it was released, or the signal was sent
    trace_id: int
    span_id: int
    name: str
    thread_name: str
    stood: Stood | None = None


class Release(NamedTuple):
    """A task released what others waited for, and woke the first of them."""

    start_ns: int
    end_ns: int
    place: Place
    stood: Stood
    lock: int  # its number in this session
    holds: deque[Hold]  # the latest of this lock, this one included
    shared: bool  # several may have it at once


class Waited(NamedTuple):
    """What a thread waited for inside its function."""

    what: str  # "threading.Lock", "time.sleep"
    made_at: Place | None = None  # a lock
    holds: Sequence[Hold] = ()  # those that ended meanwhile, in order of time
    waiters: int = 0
    handler: str = ""  # the logging handler it was inside of
    end_seen: bool = True  # whether the end of the wait is known separately from the return to Python
    # if not: how often the thread slept in a call that blocks once, return included, -1 if not counted;
    # None: it may block more than once
    sleeps: int | None = None
