"""Names the threads of this process that used a CPU while others waited for one. Pure."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.host.code_location import Place
from whywait.tracer.offcpu.gil_holders import OURS, Holder, HolderPast
from whywait.tracer.sampler.cpu_history import ProcessUse, ThreadUse

_MOMENTS: Final = 5  # of an interval: a thread's work is looked up at each
_OF: Final = "native threads of "
_NATIVE: Final = {"": "native threads"} | {one: f"{_OF}{one} (OpenMP)" for one in ("libgomp", "libomp", "libiomp5")}
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

    def of(self, one: ThreadUse | ProcessUse, start_ns: int, end_ns: int) -> list[Named]:
        """Return a process's name, or a thread's work in an interval, each entry for an equal part of it; never empty."""
        if isinstance(one, ProcessUse):
            if one.process_id == self._sampler_id:  # a part of this process
                return [Named(s.RIVAL_THREAD, _OWN_WORK)]
            kind = s.RIVAL_SIBLING if one.sibling else s.RIVAL_PROCESS
            return [Named(kind, one.name if one.process_id else REST, one.process_id)]
        tid = one.thread_id
        if not tid:
            return [Named(s.RIVAL_THREAD, "short-lived threads")]
        if self._past.names.get(tid, "").startswith(OURS):
            return [Named(s.RIVAL_THREAD, _OWN_WORK)]
        if not one.python and not self._past.knows(tid):
            return [Named(s.RIVAL_NATIVE, _NATIVE.get(library := self._libraries.get(tid, ""), f"{_OF}{library}"))]
        step_ns = (end_ns - start_ns) / (2 * _MOMENTS)
        seen = [self._past.at(tid, start_ns + int(step_ns * at)) for at in range(1, 2 * _MOMENTS, 2)]
        worked = list(filter(_is_work, seen)) or seen
        found = [Named(s.RIVAL_THREAD, holder.name, 0, holder.place, holder.trace_id) for holder in worked]
        self.spans.update(zip(found, map(attrgetter("span_id"), worked), strict=True))
        return found


def _is_work(holder: Holder) -> bool:
    return holder.place is not None or bool(holder.trace_id)
