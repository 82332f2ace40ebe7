"""Starts of threads: the function of each, by native id. A thread that held the GIL has often ended before the
export, or shows no stack in a C call."""

import functools
import threading
from time import perf_counter_ns
from typing import Any, Final

from whywait.tracer.host.code_location import Place, is_library, place_of_code
from whywait.tracer.host.introspection import code_of, own
from whywait.tracer.hotpath.pools import watch_thread
from whywait.tracer.hotpath.recorder import Recorder, safely
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.records.thread_names import ThreadLife

name: Final = "threads"
needs: Final = ("threading.Thread._set_native_id",)
available: Final = always
_PLAIN_RUN = threading.Thread.run


def install(session: Session) -> Undo:
    """Wrap the first call of threads, record running threads, and return the undo."""
    recorder = session.recorder
    kind: Any = threading.Thread
    plain = kind._set_native_id
    for thread in threading.enumerate():
        _note(recorder, thread, 0)

    @functools.wraps(plain)
    def _set_native_id(self: Any) -> None:
        plain(self)
        safely("threads", _note, recorder, self, perf_counter_ns())

    patches = Patches()
    patches.replace(kind, "_set_native_id", _set_native_id)
    return patches.undo


def _note(recorder: Recorder, thread: threading.Thread, start_ns: int) -> None:
    place = _place_of(thread)
    if place is not None and thread.native_id:
        recorder.threads.add(ThreadLife(start_ns, thread.native_id, thread.name, place))
        if start_ns:
            watch_thread(thread.native_id, start_ns)


def _place_of(thread: threading.Thread) -> Place | None:
    """The code location of a thread's function, if it is the user's."""
    function: Any = type(thread).run
    if function is _PLAIN_RUN:
        function = own(thread, "_target")  # deleted after the run
    elif function is threading.Timer.run:
        function = own(thread, "function")
    code = code_of(function) if function is not None else None
    return place_of_code(code) if code is not None and not is_library(code.co_filename) else None
