"""Names the threads of this process that used a CPU while others waited for one. Pure."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.offcpu.gil_holders import OURS, HolderPast
from whywait.tracer.sampler.cpu_history import ProcessUse, ThreadUse

_MOMENTS: Final = 5  # of an interval: a thread's work is looked up at each
_OPENMP: Final = ("libgomp", "libomp", "libiomp5")
_OWN_WORK: Final = "whywait's own work"
REST: Final = "other processes"
UNSEEN: Final = "processes that cannot be seen from here"


class Named(NamedTuple):
    """A user of a CPU, as far as known."""

    kind: str  # schema.RIVAL_*
    name: str
    process_id: int = 0
    place: Place | None = None
    trace_id: int = 0


class CpuNames:
    """Names by recent work of threads; for one round of the exporter."""

    def __init__(self, past: HolderPast, libraries: Mapping[int, str], sampler_id: int) -> None:
        self._past = past
        self._libraries = libraries
        self._sampler_id = sampler_id
        self.spans: dict[Named, int] = {}  # a span in which a thread did what it is named for

    def of_process(self, one: ProcessUse) -> Named:
        """The name of another process; the sampler is a part of this one."""
        if one.process_id == self._sampler_id:
            return Named(s.RIVAL_THREAD, _OWN_WORK)
        if not one.process_id:
            return Named(s.RIVAL_PROCESS, REST)
        return Named(s.RIVAL_SIBLING if one.sibling else s.RIVAL_PROCESS, one.name, one.process_id)

    def of_thread(self, one: ThreadUse, start_ns: int, end_ns: int) -> list[Named]:
        """Return a thread's work in an interval, each entry for an equal part of it; never empty."""
        past, tid = self._past, one.thread_id
        if not tid:
            return [Named(s.RIVAL_THREAD, "short-lived threads")]
        if past.names.get(tid, "").startswith(OURS):
            return [Named(s.RIVAL_THREAD, _OWN_WORK)]
        if not one.python and not past.knows(tid):
            library = self._libraries.get(tid, "")
            whose = f" of {library}{' (OpenMP)' if library in _OPENMP else ''}" if library else ""
            return [Named(s.RIVAL_NATIVE, f"native threads{whose}")]
        found, idle = [], []
        for number in range(_MOMENTS):
            at_ns = start_ns + (end_ns - start_ns) * (2 * number + 1) // (2 * _MOMENTS)
            holder = past.at(tid, at_ns)
            named = Named(s.RIVAL_THREAD, holder.name, 0, holder.place, holder.trace_id)
            if holder.place is None and not holder.trace_id:
                idle.append(named)
            else:
                self.spans.setdefault(named, holder.span_id)
                found.append(named)
        return found or idle
