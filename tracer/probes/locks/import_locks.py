"""Waits for Python's import lock of a module that another thread imports: which module, and who imports it.

A lock of the interpreter's own, so no replacement of `threading.Lock` sees it. Without contention this costs one
comparison, and modules that are imported already take no lock.
"""

import functools
import threading
from importlib import import_module
from time import perf_counter_ns
from types import FrameType
from typing import Any, Final

from whywait.tracer.host.code_location import places_of_threads
from whywait.tracer.host.introspection import known_thread, local_of
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.hotpath.thread_state import begin_wait, end_wait
from whywait.tracer.hotpath.thread_waits import keep_wait, waiter_here
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.lock_holds import Hold, Waited
from whywait.tracer.schema import LOCK_KIND_IMPORT, WAIT_LOCK

name: Final = "import locks"
needs: Final = (
    "importlib._bootstrap._find_and_load",
    "importlib._bootstrap._ModuleLock.acquire",
    "importlib._bootstrap._ModuleLock.owner",
)
available: Final = always
_bootstrap = import_module("importlib._bootstrap")
_IMPORTS: Final = ("_find_and_load", _bootstrap._find_and_load.__code__.co_filename)


def install(_: Session) -> Undo:
    """Wrap the lock's `acquire`; return the undo."""
    patches, plain = Patches(), _bootstrap._ModuleLock.acquire

    @functools.wraps(plain)
    def acquire(self: Any) -> Any:
        owner = self.owner
        activity = waiter_here() if owner not in (None, threading.get_ident()) else None
        if activity is None:
            return plain(self)
        hold = _held_by(owner, self.name)
        inside = begin_wait()
        start_ns = perf_counter_ns()
        try:
            return plain(self)
        finally:
            end_ns = perf_counter_ns()
            end_wait(inside)
            try:
                waited = Waited(LOCK_KIND_IMPORT + self.name, None, (hold._replace(end_ns=end_ns),), 1, end_seen=False)
                keep_wait(activity, WAIT_LOCK, start_ns, end_ns, end_ns, None, waited)
            except Exception as error:
                probe_failed(name, error)

    patches.replace(_bootstrap._ModuleLock, "acquire", acquire)
    return patches.undo


def _held_by(owner: int, module: str) -> Hold:
    """The thread that imports the module, where it does so, and the job that it has."""
    place = places_of_threads((owner,), lambda frame: _importing(frame, module))[owner]
    thread = known_thread(owner)
    job = recorders.active.working.get(thread.native_id or 0) if thread is not None and recorders.active else None
    trace_id, span_id = (job.trace_id, job.span_id) if job is not None and not job.end_ns else (0, 0)
    return Hold(0, place, trace_id, span_id, place.function if place else "", thread.name if thread else "")


def _importing(frame: FrameType | None, module: str) -> FrameType | None:
    while frame is not None:
        code = frame.f_code
        if (code.co_name, code.co_filename) == _IMPORTS and local_of(frame, "name") == module:
            return frame.f_back
        frame = frame.f_back
    return None
