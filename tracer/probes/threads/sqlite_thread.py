"""aiosqlite: the thread of a connection runs its calls one after another, as a pool of one worker does."""

import functools
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

from whywait.tracer.host.code_location import is_library, place_here
from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.hotpath.jobs import make_job, run_job
from whywait.tracer.hotpath.pools import occupancy_of, pool_of
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.probes.patches import wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo

name: Final = "aiosqlite"
needs: Final[tuple[str, ...]] = ()  # to look for names would import the library
later: Final = ("aiosqlite.core.Connection._execute",)


def available() -> bool:
    return find_spec("aiosqlite") is not None


def install(_: Session) -> Undo:
    """Wrap the method that hands a call to the thread, now or when it is imported."""
    return wrap_when_imported(name, dict.fromkeys(later), lambda plain, _: _wrapped(plain))


def _wrapped(plain: Any) -> Any:
    @functools.wraps(plain)
    async def _execute(self: Any, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            pool = pool_of(self, "aiosqlite Connection", 1)
            job = make_job(pool, fn, args)
            held = occupancy_of(pool, job, fn, args)
            place = place_here(sys._getframe(1))
            if place is not None and not is_library(place.file):  # the user's, in place of the library's function
                held.name, held.place = place.function, place
        except Exception as error:
            probe_failed(name, error)
            return await plain(self, fn, *args, **kwargs)
        try:
            return await plain(self, run_job, pool, job, held, fn, *args, **kwargs)
        except BaseException as error:
            take_this_frame_out(error)
            raise

    return _execute
