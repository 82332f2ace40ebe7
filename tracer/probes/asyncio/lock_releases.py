"""Where asyncio's and anyio's locks and semaphores are released while others wait: a task's name is its outermost
coroutine, the server's."""

import asyncio
import functools
import sys
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from time import perf_counter_ns
from typing import Any, Final, TypeAlias

from whywait.tracer.host.code_location import place_here
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.host.introspection import own, take_this_frame_out
from whywait.tracer.hotpath.pools import known_pool
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.current import here
from whywait.tracer.records.lock_holds import Hold, Release
from whywait.tracer.records.request import Activity

name: Final = "releases"
needs: Final = ("anyio._backends._asyncio",)
available: Final = always
_MOST = 256  # of one task, or of one lock: older ones are exported by now
_Holds: TypeAlias = ByIdentity[deque[Hold]]  # by lock: what a service's own class says of equality is its own


def install(_: Session) -> Undo:
    """Wraps `release` of each class; returns the undo."""
    patches, holds = Patches(), _Holds()
    for owner, method, waiters in _methods():
        plain = owner.__dict__.get(method)
        if plain is not None:
            patches.replace(owner, method, _wrapped(plain, waiters, holds if owner.__name__ == "Lock" else None))
    return patches.undo


def _methods() -> list[tuple[Any, str, str]]:
    """The classes, the method that releases, and where each has those who wait."""
    found: list[tuple[Any, str, str]] = [(one, "release", "_waiters") for one in (asyncio.Semaphore, asyncio.Lock)]
    if find_spec("anyio") is not None:
        from anyio._backends import _asyncio

        classes = {name: getattr(_asyncio, name, None) for name in ("Semaphore", "Lock", "CapacityLimiter")}
        for name, one in classes.items():
            method = ("release_on_behalf_of", "_wait_queue") if name == "CapacityLimiter" else ("release", "_waiters")
            found += [(one, *method)] if isinstance(one, type) else []
    return found


def _wrapped(plain: Callable[..., Any], waiters: str, holds: _Holds | None) -> Callable[..., Any]:
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
                    _note(_of(self, holds) if holds is not None else None, start_ns)
                except Exception as error:
                    probe_failed("releases", error)

    return release


def _of(lock: Any, holds: _Holds) -> deque[Hold]:
    found = holds.get(lock)
    if found is None:
        found = deque(maxlen=_MOST)
        holds.set(lock, found)
    return found


def _note(holds: deque[Hold] | None, start_ns: int) -> None:
    current, place = here.current, place_here(sys._getframe(2))
    by = current if isinstance(current, Activity) and current.request.open else None
    if place is None or (by is not None and not by.request.take()):
        return
    if holds is not None:  # it lasted from the release before
        trace_id, span_id = (by.request.trace_id, by.span_id) if by is not None else (0, 0)
        holds.append(Hold(perf_counter_ns(), place, trace_id, span_id, place.function, ""))
    if by is not None:
        if by.releases is None:
            by.releases = deque(maxlen=_MOST)
        by.releases.append(Release(start_ns, perf_counter_ns(), place, holds))
