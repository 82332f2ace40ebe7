"""Pure: puts names to the threads that were seen holding the GIL."""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tracer.places import place_of_code
from tracer.records import Callback, Occupancy, Place

_MOST: Final = 8
OURS: Final = "whywait"


class HolderSeen(NamedTuple):
    """A look at a thread that held the GIL while others waited for it."""

    at_ns: int
    thread_id: int
    thread_name: str
    place: Place | None


class Holder(NamedTuple):
    """Who held the GIL for a part of a wait."""

    name: str
    place: Place | None
    thread_name: str
    trace_id: int
    span_id: int
    ns: int


@dataclass(frozen=True, slots=True)
class HolderPast:
    """What threads did lately: jobs on workers, callbacks on loops, and looks at holders; by native id."""

    jobs: Mapping[int, Sequence[Occupancy]] = field(default_factory=dict)
    callbacks: Mapping[int, Sequence[Callback]] = field(default_factory=dict)
    looks: Mapping[int, Sequence[HolderSeen]] = field(default_factory=dict)

    def holders(self, seen: Mapping[int, int], gil_ns: int, start_ns: int, end_ns: int) -> list[Holder]:
        """The holders by their part of `gil_ns`, longest first; parts sum to at most `gil_ns`.

        `seen` counts the samples by the holder's thread, 0 where it could not be told.
        """
        total = sum(seen.values())
        if not total or gil_ns <= 0:
            return []
        parts: dict[tuple[str, Place | None, str, int, int], int] = defaultdict(int)
        for thread_id, count in seen.items():
            if thread_id:
                for holder in self._of_thread(thread_id, gil_ns * count // total, start_ns, end_ns):
                    parts[holder[:-1]] += holder.ns
        ranked = sorted((Holder(*key, ns) for key, ns in parts.items()), key=lambda one: -one.ns)
        return ranked[:_MOST]

    def _of_thread(self, thread_id: int, ns: int, start_ns: int, end_ns: int) -> Iterable[Holder]:
        looks = list(_between(self.looks.get(thread_id, ()), start_ns, end_ns))
        place = Counter(one.place for one in looks).most_common(1)[0][0] if looks else None
        thread_name = looks[0].thread_name if looks else ""
        if thread_name.startswith(OURS):
            return [Holder("whywait's own work", None, thread_name, 0, 0, ns)]
        jobs = self.jobs.get(thread_id, ())
        low = bisect_left(jobs, start_ns, key=lambda job: job.end_ns or end_ns)
        held: list[tuple[int, Holder]] = []
        for job in jobs[low:]:
            if job.start_ns >= end_ns:
                break
            overlap_ns = min(job.end_ns or end_ns, end_ns) - max(job.start_ns, start_ns)
            if overlap_ns > 0:
                at = place or (place_of_code(job.code) if job.code is not None else None)
                held.append((overlap_ns, Holder(job.name, at, thread_name, job.trace_id, job.span_id, 0)))
        callbacks = self.callbacks.get(thread_id, ())
        low = bisect_left(callbacks, start_ns, key=lambda one: one.end_ns)
        for one in callbacks[low:]:
            if one.start_ns >= end_ns:
                break
            overlap_ns = min(one.end_ns, end_ns) - max(one.start_ns, start_ns)
            if overlap_ns > 0 and one.busy_ns:
                held.append((overlap_ns, _of_callback(one, place, thread_name)))
        whole = sum(overlap for overlap, _ in held)
        if not whole:
            name = place.function if place is not None else f"thread {thread_name or thread_id}"
            return [Holder(name, place, thread_name, 0, 0, ns)]
        return [holder._replace(ns=ns * overlap // whole) for overlap, holder in held]


def _of_callback(one: Callback, place: Place | None, thread_name: str) -> Holder:
    if one.calls > 1:
        return Holder("short callbacks on the event loop", None, thread_name, 0, 0, 0)
    at = one.sample.place if one.sample is not None else place
    if at is None and one.code is not None:
        at = place_of_code(one.code)
    name = at.function if at is not None else "a callback"
    return Holder(name, at, thread_name or "event loop", one.trace_id, one.span_id, 0)


def _between(looks: Sequence[HolderSeen], start_ns: int, end_ns: int) -> Iterable[HolderSeen]:
    low = bisect_left(looks, start_ns, key=lambda one: one.at_ns)
    for one in looks[low:]:
        if one.at_ns > end_ns:
            return
        yield one
