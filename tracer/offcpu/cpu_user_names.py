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

    def of_process(self, one: ProcessUse) -> Named:
        """The name of another process; the sampler is a part of this one."""
        if one.process_id == self._sampler_id:
            return Named(s.RIVAL_THREAD, _OWN_WORK)
        if not one.process_id:
            return Named(s.RIVAL_PROCESS, REST)
        return Named(s.RIVAL_SIBLING if one.sibling else s.RIVAL_PROCESS, one.name, one.process_id)

    def of_thread(self, one: ThreadUse, start_ns: int, end_ns: int) -> list[Named]:
        """Return a thread's work in an interval, each entry for an equal part of it; never empty."""
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
