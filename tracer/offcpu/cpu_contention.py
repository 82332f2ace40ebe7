"""Divides a thread's run-queue time among what used the CPUs, and the quota that withheld them. Pure.

    run queue of a thread    |~~~~~|        |~~~~~~~~~~~~~~~~~|
    the quota had run out                           |---------|      throttled
    intervals of the sampler |-----------|-----------|-----------|   what used the CPUs in each

What lies in a stretch without quota belongs to the quota. The rest is divided, interval by interval, by the use of the
CPUs on which the thread may run; what others used less than the thread waited is unknown. All uses must fit into the
busy time of these CPUs:

    busy      |-------------------------------------|
    certain   |---------------|                          of those that may run on no other CPUs
    others                    |~~~~~~~~~~|               stretched, or shrunk, to the room that is left
    unseen                               |----------|    busy time beyond all known use
"""

from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.offcpu.cpu_user_names import UNSEEN, CpuNames, Named
from whywait.tracer.sampler.cpu_history import CpuPast, Interval, ProcessUse, ThreadUse

_MOST: Final = 4  # rivals of one span
_NAMED_NS: Final = 400_000  # of a run-queue time: from this length on they are named
_PROCESSES: Final = (s.RIVAL_PROCESS, s.RIVAL_SIBLING)
_SLIGHT_NS: Final = 100_000  # a thread missing in an interval waited less
_UNSEEN_SHARE: Final = 0.1  # of the CPUs; less is within the resolution of the counters


class Rival(NamedTuple):
    """A process or thread that used a CPU for a part of the time."""

    named: Named
    span_id: int
    ns: int


class Division(NamedTuple):
    """Parts of a run-queue time; the first four sum to it."""

    process_ns: int
    own_ns: int
    throttled_ns: int
    unknown_ns: int
    rivals: tuple[Rival, ...]  # longest first, of the first two
    quota_ns: int  # CPU time per `period_ns`; both 0: no quota
    period_ns: int
    cpus: int  # on which the thread may run; 0: unknown
    wanted_milli: int  # runnable threads of this process, on average, in thousandths
    native_milli: int  # of them, threads without Python


class _Mix(NamedTuple):
    """The users of a set of CPUs in an interval."""

    users: Sequence[tuple[int, Named, float]]  # a thread of this process, or 0; and for how long, ns
    wanted: float  # runnable threads of this process, on average
    native: float  # of them, threads without Python


class _Part(NamedTuple):
    """An interval in which the thread waited."""

    interval: Interval
    cpus: int  # on which the thread may run
    mix: _Mix  # of these CPUs
    share: float  # of the interval, that the stretches overlap
    weight: float  # how long the thread waited in it
    most_ns: float  # how long the thread waited for others in the whole interval; 0: unknown

    def divided(self, thread_id: int, part_ns: float) -> Iterator[tuple[Named, float]]:
        """What used the CPUs during `part_ns` of waiting; less of it where the others used less."""
        others = [(named, ns) for user_id, named, ns in self.mix.users if user_id != thread_id]
        needed_ns = max(self.most_ns or part_ns / self.share, part_ns, 1.0)
        scale = part_ns / max(sum(ns for _, ns in others), needed_ns)
        yield from ((named, scale * ns) for named, ns in others)


class CpuRivals:
    """Answers for one round of the exporter."""

    def __init__(self, past: CpuPast, names: CpuNames) -> None:
        self._past = past
        self._names = names
        self._mixes: dict[tuple[int, frozenset[int]], _Mix] = {}

    def divide(self, thread_id: int, stretches: Sequence[tuple[int, int]], run_queue_ns: int) -> Division:
        """The parts of `run_queue_ns`, which a thread spent in these disjoint stretches, in order of time."""
        intervals = self._past.during(stretches[0][0], stretches[-1][1]) if stretches else ()
        parts = [found for one in intervals if (found := self._part(one, thread_id, stretches)).share > 0]
        throttled_ns = min(self._throttled_in(stretches), run_queue_ns)
        rest_ns = run_queue_ns - throttled_ns
        whole = sum(one.weight for one in parts) or 1.0
        shares: dict[Named, float] = {}
        for one in parts:
            for named, ns in one.divided(thread_id, rest_ns * one.weight / whole):
                shares[named] = shares.get(named, 0.0) + ns
        process_ns = int(sum(ns for named, ns in shares.items() if named.kind in _PROCESSES))
        own_ns = int(sum(ns for named, ns in shares.items() if named.kind not in _PROCESSES))
        own_ns = min(own_ns, rest_ns - process_ns)
        longest = sorted(shares.items(), key=itemgetter(1), reverse=True) if run_queue_ns >= _NAMED_NS else ()
        quotas = ((one.interval.quota_ns, one.interval.period_ns) for one in parts if one.interval.period_ns)
        return Division(
            process_ns, own_ns, throttled_ns, rest_ns - process_ns - own_ns,
            tuple(Rival(named, self._names.spans.get(named, 0), int(ns)) for named, ns in longest[:_MOST] if ns >= 1),
            *min(quotas, key=lambda quota: quota[0] / quota[1], default=(0, 0)),
            max((one.cpus for one in parts), default=0),
            int(sum(one.mix.wanted * one.weight for one in parts) / whole * 1_000),
            int(sum(one.mix.native * one.weight for one in parts) / whole * 1_000),
        )  # fmt: skip

    def _throttled_in(self, stretches: Sequence[tuple[int, int]]) -> int:
        found = self._past.throttled(stretches[0][0], stretches[-1][1]) if stretches else ()
        return sum(_overlap(one.start_ns, one.end_ns, stretches) for one in found)

    def _part(self, one: Interval, thread_id: int, stretches: Sequence[tuple[int, int]]) -> _Part:
        use = next((each for each in one.threads if each.thread_id == thread_id), None)
        share = _overlap(one.start_ns, one.end_ns, stretches) / max(one.end_ns - one.start_ns, 1)
        allowed = use.cpus if use is not None and use.cpus else one.cpus
        key = (one.start_ns, allowed)
        if key not in self._mixes:
            self._mixes[key] = _mixed(one, allowed, self._names)
        waited_ns, most_ns = _SLIGHT_NS, 0
        if use is not None:
            waited_ns = use.waited_ns
            most_ns = max(waited_ns - self._throttled_in([(one.start_ns, one.end_ns)]), 1)
        return _Part(one, len(allowed), self._mixes[key], share, waited_ns * share, most_ns)


def _mixed(one: Interval, allowed: frozenset[int], names: CpuNames) -> _Mix:
    length_ns = max(one.end_ns - one.start_ns, 1)
    busy_ns = one.busy_ns.get(allowed or one.cpus)
    called = [names.of_thread(use, one.start_ns, one.end_ns) for use in one.threads]
    called += [[names.of_process(use)] for use in one.processes]
    users: list[tuple[int, Named, float]] = []
    wanted = native = 0.0
    for use, named, ns in zip((*one.threads, *one.processes), called, _fitted(one, allowed, busy_ns), strict=True):
        thread_id = use.thread_id if isinstance(use, ThreadUse) else 0
        users += [(thread_id, each, ns / len(named)) for each in named]
        if isinstance(use, ThreadUse) and thread_id:
            runnable = min((use.used_ns + use.waited_ns) / length_ns, 1.0)
            wanted += runnable
            native += runnable if named[0].kind == s.RIVAL_NATIVE else 0
    unseen_ns = (busy_ns or 0) - sum(ns for _, _, ns in users)
    if unseen_ns >= _UNSEEN_SHARE * len(allowed or one.cpus) * length_ns:
        users.append((0, Named(s.RIVAL_PROCESS, UNSEEN), unseen_ns))
    return _Mix(users, wanted, native)


def _fitted(one: Interval, allowed: frozenset[int], busy_ns: int | None) -> Iterator[float]:
    """How long each thread and process used these CPUs."""
    uses: list[ThreadUse | ProcessUse] = [*one.threads, *one.processes]
    inside = [use.used_ns * (len(use.cpus & allowed) / len(use.cpus) if allowed and use.cpus else 1.0) for use in uses]
    certain = [
        ns in (0.0, use.used_ns) and (bool(use.cpus) or not allowed) for use, ns in zip(uses, inside, strict=True)
    ]
    others_ns = sum(ns for ns, sure in zip(inside, certain, strict=True) if not sure)
    scale = 1.0
    if busy_ns is not None and others_ns:
        scale = max(busy_ns - (sum(inside) - others_ns), 0.0) / others_ns
    for use, ns, sure in zip(uses, inside, certain, strict=True):
        yield ns if sure else min(ns * scale, use.used_ns)


def _overlap(start_ns: int, end_ns: int, stretches: Sequence[tuple[int, int]]) -> int:
    return sum(max(0, min(end_ns, end) - max(start_ns, start)) for start, end in stretches)
