"""Where asyncio's and anyio's locks and semaphores are released while others wait, and where the holder awaited until
then: a task's name is its outermost coroutine, the server's."""

import asyncio
import functools
import sys
from collections import deque
from collections.abc import Callable, Iterator
from itertools import count, islice
from time import perf_counter_ns
from typing import Any, Final, TypeAlias

from whywait.tracer.host.code_location import Place, is_library, place_here
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.host.introspection import own, take_this_frame_out
from whywait.tracer.hotpath.pools import known_pool
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.task_steps import waker_now
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.background import BackgroundTask, BackgroundWait
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.lock_holds import Hold, Release, Stood
from whywait.tracer.records.request import Activity, Waker

name: Final = "releases"
needs: Final = ()
# the methods that release, and where each class has those who wait
_METHODS: Final = {
    "asyncio.Semaphore.release": "_waiters",
    "asyncio.Lock.release": "_waiters",
    "anyio._backends._asyncio.Semaphore.release": "_waiters",
    "anyio._backends._asyncio.Lock.release": "_waiters",
    "anyio._backends._asyncio.CapacityLimiter.release_on_behalf_of": "_wait_queue",
}
later: Final = tuple(_METHODS)
available: Final = always
_MOST = 256  # of one task, or of one lock: older ones are exported by now
_MOST_WAITS = 50  # the latest of a task, read when it releases
_MOST_OF_ALL = 500  # of all tasks of no request, the latest
# by lock, what a service's own class says of equality is its own: its number, and the latest holds
_Locks: TypeAlias = ByIdentity[tuple[int, deque[Hold]]]


def install(_: Session) -> Undo:
    """Wraps `release` of each class, once it is imported; returns the undo."""
    locks, numbers = _Locks(), count(1)
    return wrap_when_imported(name, _METHODS, lambda plain, waiters: _wrapped(plain, waiters, locks, numbers))


def _wrapped(plain: Callable[..., Any], waiters: str, locks: _Locks, numbers: Iterator[int]) -> Callable[..., Any]:
    kind = plain.__qualname__.partition(".")[0]

    @functools.wraps(plain)
    def release(self: Any, *borrower: Any) -> Any:
        # a limiter of threads has its holders' names from their jobs
        start_ns = perf_counter_ns() if own(self, waiters) and known_pool(self) is None else 0
        try:
            return plain(self, *borrower)  # wakes the first waiter; the end of its wait is stamped inside
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            if start_ns:
                try:
                    found = locks.get(self)
                    if found is None:
                        found = next(numbers), deque(maxlen=_MOST)
                        locks.set(self, found)
                    _note(*found, kind, start_ns)
                except Exception as error:
                    probe_failed("releases", error)

    return release


def _note(lock: int, holds: deque[Hold], kind: str, start_ns: int) -> None:
    whose, place = waker_now(here.current)[0], place_here(sys._getframe(2))
    by = _as_of_request(whose)
    if place is None or (isinstance(whose, Activity) and not whose.request.take()):
        return
    shared = kind != "Lock"
    began_ns = by.born_ns if by is not None else 0
    if not shared and holds:  # it lasts from the release before
        began_ns = holds[-1].end_ns
    stood = stood_here(by, f"{kind}.", began_ns)
    trace_id, span_id = (by.request.trace_id, by.span_id) if by is not None else (0, 0)
    holds.append(Hold(perf_counter_ns(), place, trace_id, span_id, place.function, "", stood))
    if isinstance(whose, Activity | BackgroundTask):
        if whose.releases is None:
            whose.releases = deque(maxlen=_MOST)
        whose.releases.append(Release(start_ns, perf_counter_ns(), place, stood, lock, holds, shared))


def _as_of_request(whose: Waker) -> Activity | None:
    """The calling activity; of a task whose request has ended, the one that it was."""
    if isinstance(whose, Activity):
        return whose
    found = ACTIVITY.get() if asyncio._get_running_loop() is not None else None  # a thread may have a task's context
    return found if found is not None and found.task_key == id(asyncio.current_task()) else None


def stood_here(by: Activity | None, kind: str, since_ns: int) -> Stood:
    """Return where the calling task, or the job, has waited since then, and since it waited for such a lock itself: for a
    function whose name begins with `kind`."""
    found: list[tuple[int, int, Place]] = []
    queued = False
    for one in islice(reversed(by.waits), _MOST_WAITS) if by is not None else _background_waits():
        if one.end_ns <= since_ns:
            break
        if one.site is None:  # a brief one
            continue
        if one.site.leaf_function.startswith(kind):
            since_ns, queued = one.end_ns, True
            break
        place = one.site.user
        if is_library(place.file):
            continue
        if found and found[-1][2] == place:
            found[-1] = one.start_ns, found[-1][1], place
        else:
            found.append((one.start_ns, one.end_ns, place))
    return Stood(since_ns, found, queued)


def _background_waits() -> Iterator[BackgroundWait]:
    """The latest waits of the calling task of no request, the latest first."""
    loop, known = here.loop, _task_here()
    if loop is None or known is None:
        return iter(())
    return (one for one in islice(reversed(loop.background_waits), _MOST_OF_ALL) if one.task is known)


def _task_here() -> BackgroundTask | None:
    """The calling task, where it is one of no request."""
    loop = here.loop
    if loop is None or asyncio._get_running_loop() is None:
        return None
    return loop.background.get(id(asyncio.current_task()))
