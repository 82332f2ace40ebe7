"""Names the threads that held the GIL in samples. Pure."""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

from whywait.tracer import schema
from whywait.tracer.host.code_location import FUNCTION_OF, Place, is_library, is_wrapper, place_of_code
from whywait.tracer.records.gil_holder import HolderSeen, summed
from whywait.tracer.records.loop import Callback, users_place
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.thread_names import ThreadLife
from whywait.tracer.sampler.thread_samples import Held, Stay

_MOST: Final = 8
_SHORT_NS: Final = 5_000_000  # a callback as long as the interpreter's switch interval is one on its own
_NEAR_NS: Final = 30_000_000  # a sample is valid for moments this near to it
OURS: Final = "whywait"
_SEEN_NS, _FIRST_NS, _LAST_NS = attrgetter("at_ns"), attrgetter("first_ns"), attrgetter("last_ns")


class Ran(NamedTuple):
    """A function of the user that a thread ran, for a part of its CPU time or of its sleep in calls."""

    place: Place
    ns: int


T = TypeVar("T", Occupancy, Callback)  # what has an end


class Holder(NamedTuple):
    """A holder of the GIL for a part of a wait."""

    name: str
    place: Place | None
    thread_name: str
    trace_id: int
    span_id: int
    ns: int


@dataclass(frozen=True, slots=True)
class HolderPast:
    """Recent work of threads: jobs on workers, callbacks on loops, and samples of holders; by native id,
    each in order of time."""

    jobs: Mapping[int, Sequence[Occupancy]] = field(default_factory=dict)
    callbacks: Mapping[int, Sequence[Callback]] = field(default_factory=dict)
    looks: Mapping[int, Sequence[HolderSeen]] = field(default_factory=dict)
    awake: Mapping[int, Sequence[HolderSeen]] = field(default_factory=dict)  # those of them that show what it ran
    names: Mapping[int, str] = field(default_factory=dict)  # of the threads that live now
    lives: Mapping[int, Sequence[ThreadLife]] = field(default_factory=dict)  # and lived lately

    def turning_ns(self, seen: Iterable[Held], gil_ns: int) -> int:
        """How much of `gil_ns` an event loop was the holder, between short callbacks, or in one."""
        total = turning = 0
        for one in seen:
            total += one.times
            if one.thread_id in self.callbacks:
                callback = _covering(self.callbacks[one.thread_id], one.at_ns)
                if callback is None or callback.calls > 1 or callback.end_ns - callback.start_ns < _SHORT_NS:
                    turning += one.times
        return gil_ns * turning // total if total else 0

    def holders(self, seen: Iterable[Held], gil_ns: int) -> list[Holder]:
        """Return the holders by their share of `gil_ns`, longest first; the shares sum to at most `gil_ns`."""
        counts: Counter[Holder] = Counter()
        spans: dict[tuple[object, ...], int] = {}
        total = 0
        for one, until_ns in _kept(seen):
            total += one.times
            if one.thread_id:
                holder = self.at(one.thread_id, one.at_ns, until_ns)
                spans.setdefault(_work(holder), holder.span_id)  # the jobs of one name in one trace are one
                counts[holder._replace(span_id=0)] += one.times
        found = summed(counts.most_common(), _work)  # the lines of one function are one
        rest = summed(((one._replace(trace_id=0, thread_name=""), times) for one, times in found[_MOST:]), _work)
        return [
            one._replace(span_id=spans[_work(one)] if one.trace_id else 0, ns=gil_ns * times // total)
            for one, times in (*found[:_MOST], *rest[:_MOST])
        ]

    def ran(
        self, thread_id: int, stretches: Iterable[tuple[int, int]], cpu_ns: int, call_ns: int, asleep: Sequence[Stay]
    ) -> tuple[list[Ran], list[Ran], tuple[str, str]]:
        """Return what a thread ran in these stretches, and in what it slept in calls, longest first; the parts sum to at
        most `cpu_ns`, and `call_ns`; and the library's call of most such sleeps. `asleep` is when samples of its state
        show a sleep, in order."""
        seen: tuple[Counter[Place | None], Counter[Place | None]] = (Counter(), Counter())
        calls: Counter[tuple[str, str]] = Counter()
        for start_ns, end_ns in stretches:
            kinds: tuple[list[HolderSeen], list[HolderSeen]] = ([], [])
            for one in self._looks_in(thread_id, start_ns, end_ns):
                before = bisect_right(asleep, one.at_ns, key=_FIRST_NS)
                kinds[one.waits or (bool(before) and one.at_ns <= asleep[before - 1].last_ns)].append(one)
            for sleeps, looks in enumerate(kinds):
                # a job is sampled at growing intervals: each sample stands for the time of its kind nearest to it
                middles = [(one.at_ns + after.at_ns) // 2 for one, after in pairwise(looks)]
                for one, (since_ns, until_ns) in zip(looks, pairwise([start_ns, *middles, end_ns]), strict=False):
                    slept_ns = _within(asleep, since_ns, until_ns)
                    nearest_ns = max(slept_ns if sleeps and asleep else until_ns - since_ns - slept_ns, 1)
                    seen[sleeps][one.place] += nearest_ns
                    calls[one.call] += nearest_ns * sleeps
        call = max(calls, key=calls.__getitem__, default=("", ""))
        return _shared(seen[False] or seen[True], cpu_ns), _shared(seen[True], call_ns), call

    def stood(self, thread_id: int, start_ns: int, end_ns: int) -> Place | None:
        """Return where in the user's code samples show the thread most often, running or not; None without one."""
        found = _shared(Counter(one.place for one in self._looks_in(thread_id, start_ns, end_ns)), 0)
        return found[0].place if found else None

    def _looks_in(self, thread_id: int, start_ns: int, end_ns: int) -> Sequence[HolderSeen]:
        looks = self.looks.get(thread_id, ())
        return looks[bisect_left(looks, start_ns, key=_SEEN_NS) : bisect_right(looks, end_ns, key=_SEEN_NS)]

    def knows(self, thread_id: int) -> bool:
        """Whether the thread is known to run Python."""
        known = (self.names, self.jobs, self.callbacks, self.looks, self.lives)
        return any(thread_id in one for one in known)

    def at(self, thread_id: int, at_ns: int, until_ns: int = 0) -> Holder:
        """Return a thread's work at a moment, as a holder with 0 ns. `until_ns`: it kept the GIL until then, so that
        nothing could sample what it ran before."""
        look = _nearest(self.awake.get(thread_id, ()), at_ns, until_ns)
        life = _latest(self.lives.get(thread_id, ()), at_ns)
        named = look or life or _nearest(self.looks.get(thread_id, ()), at_ns)
        thread_name = named.thread_name if named is not None else self.names.get(thread_id, "")
        if thread_name.startswith(OURS):
            return Holder(schema.OWN_WORK, None, thread_name, 0, 0, 0)
        seen_in = _users_place(look)
        found = self._of_work(thread_id, at_ns, seen_in, thread_name)
        return found or _of_thread(thread_id, thread_name, seen_in or _place_of(life) or _place_of(look))

    def _of_work(self, thread_id: int, at_ns: int, seen_in: Place | None, thread_name: str) -> Holder | None:
        """A job of a worker, or a loop's callback, or the loop between two; None of other threads."""
        job = _covering(self.jobs.get(thread_id, ()), at_ns)
        if job is not None:
            if job.place is not None and (seen_in is None or is_library(seen_in.file)):
                seen_in = job.place  # the user's, for whom a library's thread runs it
            place = seen_in or (place_of_code(job.code) if job.code is not None else None)
            return Holder(seen_in.function if seen_in else job.name, place, thread_name, job.trace_id, job.span_id, 0)
        callbacks = self.callbacks.get(thread_id)
        if callbacks is None:
            return None
        callback = _covering(callbacks, at_ns)
        if callback is not None:
            return _of_callback(callback, seen_in, thread_name)
        return _between_callbacks(callbacks, at_ns, seen_in, thread_name)


def _kept(seen: Iterable[Held]) -> Iterator[tuple[Held, int]]:
    """Each, and until when no sample shows another holder."""
    found: list[tuple[Held, int]] = []
    for one in reversed([*seen]):
        later, until_ns = found[-1] if found else (one, 0)
        last_ns = max(one.at_ns, one.until_ns)
        goes_on = one.thread_id == later.thread_id and later.at_ns - last_ns <= _NEAR_NS
        found.append((one, max(last_ns, until_ns) if goes_on else last_ns))
    return reversed(found)


def _within(stays: Sequence[Stay], start_ns: int, end_ns: int) -> int:
    near = stays[bisect_right(stays, start_ns, key=_LAST_NS) : bisect_left(stays, end_ns, key=_FIRST_NS)]
    return sum(min(one.last_ns, end_ns) - max(one.first_ns, start_ns) for one in near)


def _shared(places: Counter[Place | None], ns: int) -> list[Ran]:
    total = places.total()
    users = ((one, times) for one, times in places.most_common() if one and not is_wrapper(one.file))
    return [Ran(place, ns * times // total) for place, times in summed(users, FUNCTION_OF)[:_MOST]]


def _work(holder: Holder) -> tuple[object, ...]:
    return holder.name, holder.place and holder.place.file, holder.thread_name, holder.trace_id


def _of_thread(thread_id: int, thread_name: str, place: Place | None) -> Holder:
    name = place.function if place is not None else f"thread {thread_name or thread_id}"
    return Holder(name, place, thread_name, 0, 0, 0)


def _of_callback(one: Callback, seen_in: Place | None, thread_name: str) -> Holder:
    place = one.sample.place if one.sample is not None else seen_in
    if place is None and one.code is not None:
        place = place_of_code(one.code)
    if place is not None:
        place = users_place(place, one.request)
    name = place.function if place is not None else "a callback" if one.calls == 1 else "short callbacks"
    return Holder(name, place, thread_name, one.trace_id, one.span_id, 0)


def _between_callbacks(callbacks: Sequence[Callback], at_ns: int, seen_in: Place | None, thread_name: str) -> Holder:
    """The loop's own work counts as that of its latest callback, if that was just now."""
    before = bisect_right(callbacks, at_ns, key=lambda one: one.start_ns)
    if before and at_ns - callbacks[before - 1].end_ns < _SHORT_NS:
        return _of_callback(callbacks[before - 1], seen_in, thread_name)
    name = seen_in.function if seen_in is not None else "the event loop itself"
    return Holder(name, seen_in, thread_name, 0, 0, 0)


def _latest(lives: Sequence[ThreadLife], at_ns: int) -> ThreadLife | None:
    before = bisect_right(lives, at_ns, key=lambda one: one.start_ns)
    return lives[before - 1] if before else None


def _place_of(seen: HolderSeen | ThreadLife | None) -> Place | None:
    return seen.place if seen is not None else None


def _users_place(look: HolderSeen | None) -> Place | None:
    place = _place_of(look)
    return place if place is not None and not is_wrapper(place.file) else None


def _nearest(looks: Sequence[HolderSeen], at_ns: int, until_ns: int = 0) -> HolderSeen | None:
    after = bisect_left(looks, at_ns, key=_SEEN_NS)
    near = [one for one in looks[max(after - 1, 0) : after + 1]
            if at_ns - _NEAR_NS <= one.at_ns <= max(at_ns, until_ns) + _NEAR_NS]  # fmt: skip
    return min(near, key=lambda one: abs(one.at_ns - at_ns), default=None)


def _covering(past: Sequence[T], at_ns: int) -> T | None:
    before = bisect_right(past, at_ns, key=lambda one: one.start_ns)
    if not before:
        return None
    latest = past[before - 1]
    return latest if not latest.end_ns or latest.end_ns >= at_ns else None
