"""Divides a thread's run-queue time among what used the CPUs, and the quota that withheld them. Pure.

    run queue of a thread    |~~~~~|        |~~~~~~~~~~~~~~~~~|
    the quota had run out                           |---------|      throttled
    intervals of the sampler |-----------|-----------|-----------|   what used the CPUs in each

What lies in a stretch without quota belongs to the quota. The rest is divided, interval by interval, by the use of the
CPUs on which the thread may run; what others used less than the thread waited is unknown.
"""

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.offcpu.cpu_shares import Mix, mixed
from whywait.tracer.offcpu.cpu_user_names import CpuNames, Named
from whywait.tracer.sampler.cpu_history import CpuPast, Interval

_MOST: Final = 4  # rivals of one span
_NAMED_NS: Final = 400_000  # of a run-queue time: from this length on they are named
_PROCESSES: Final = (s.RIVAL_PROCESS, s.RIVAL_SIBLING)
_SLIGHT_NS: Final = 100_000  # a thread missing in an interval waited less


class Rival(NamedTuple):
    """A process or thread that used a CPU for a part of the time."""

    named: Named
    span_id: int
    threads: int  # number of threads of this process; 0 for another process
    ns: int

    @property
    def number(self) -> int:
        """The process id, 0 for several processes; for threads, their number."""
        return self.named.process_id if self.named.kind in _PROCESSES else self.threads


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


class CpuRivals:
    """Answers for one round of the exporter."""

    def __init__(self, past: CpuPast, names: CpuNames) -> None:
        self._past = past
        self._names = names
        self._mixes: dict[tuple[int, frozenset[int]], Mix] = {}

    def divide(self, thread_id: int, stretches: Sequence[tuple[int, int]], run_queue_ns: int) -> Division:
        """The parts of `run_queue_ns`, which a thread spent in these disjoint stretches, in order of time."""
        intervals = self._past.during(stretches[0][0], stretches[-1][1]) if stretches else ()
        found = [self._part(one, thread_id, stretches) for one in intervals]
        found = [one for one in found if one.share > 0]
        throttled_ns = min(self._throttled_in(stretches), run_queue_ns) if stretches else 0
        rest_ns = run_queue_ns - throttled_ns
        whole = sum(one.weight for one in found) or 1.0
        shares: dict[Named, float] = {}
        for one in found:
            for named, ns in one.shared(thread_id, rest_ns * one.weight / whole):
                shares[named] = shares.get(named, 0.0) + ns
        process_ns = int(sum(ns for named, ns in shares.items() if named.kind in _PROCESSES))
        own_ns = int(sum(ns for named, ns in shares.items() if named.kind not in _PROCESSES))
        own_ns = min(own_ns, rest_ns - process_ns)
        quota = min(
            ((one.interval.quota_ns, one.interval.period_ns) for one in found if one.interval.period_ns),
            key=lambda found: found[0] / found[1],
            default=(0, 0),
        )
        return Division(
            process_ns,
            own_ns,
            throttled_ns,
            rest_ns - process_ns - own_ns,
            self._rivals(shares, found) if run_queue_ns >= _NAMED_NS else (),
            *quota,
            max((len(one.allowed) for one in found), default=0),
            int(sum(one.mix.wanted * one.weight for one in found) / whole * 1_000),
            int(sum(one.mix.native * one.weight for one in found) / whole * 1_000),
        )

    def _rivals(self, shares: Mapping[Named, float], parts: "Sequence[_Part]") -> tuple[Rival, ...]:
        longest = sorted(shares.items(), key=itemgetter(1), reverse=True)[:_MOST]
        return tuple(
            Rival(named, self._names.spans.get(named, 0), max(one.mix.threads[named] for one in parts), int(ns))
            for named, ns in longest
            if ns >= 1
        )

    def _throttled_in(self, stretches: Sequence[tuple[int, int]]) -> int:
        found = self._past.throttled(stretches[0][0], stretches[-1][1])
        return sum(_overlap(one.start_ns, one.end_ns, stretches) for one in found)

    def _part(self, one: Interval, thread_id: int, stretches: Sequence[tuple[int, int]]) -> "_Part":
        use = next((each for each in one.threads if each.thread_id == thread_id), None)
        share = _overlap(one.start_ns, one.end_ns, stretches) / max(one.end_ns - one.start_ns, 1)
        allowed = use.cpus if use is not None and use.cpus else one.cpus
        key = (one.start_ns, allowed)
        mix = self._mixes.get(key)
        if mix is None:
            mix = self._mixes[key] = mixed(one, allowed, self._names)
        if use is None:
            return _Part(one, allowed, mix, share, _SLIGHT_NS * share, 0)
        others_ns = max(use.waited_ns - self._throttled_in([(one.start_ns, one.end_ns)]), 1)
        return _Part(one, allowed, mix, share, use.waited_ns * share, others_ns)


class _Part(NamedTuple):
    """An interval in which the thread waited."""

    interval: Interval
    allowed: frozenset[int]  # the CPUs on which the thread may run
    mix: Mix
    share: float  # of the interval, that the stretches overlap
    weight: float
    needed_ns: int  # how long the thread waited for others in the whole interval; 0: unknown

    def shared(self, thread_id: int, part_ns: float) -> list[tuple[Named, float]]:
        """What used the CPUs during `part_ns` of waiting; less of it where the others used less."""
        own = self.mix.of_thread.get(thread_id, {})
        others = {named: ns - own.get(named, 0.0) for named, ns in self.mix.by_name.items()}
        others_ns = sum(others.values())
        needed_ns = max(self.needed_ns or part_ns / self.share, part_ns, 1.0)
        known_ns = part_ns * min(1.0, others_ns / needed_ns)
        return [(named, known_ns * ns / others_ns) for named, ns in others.items() if ns > 0 < known_ns]


def _overlap(start_ns: int, end_ns: int, stretches: Sequence[tuple[int, int]]) -> int:
    return sum(max(0, min(end_ns, end) - max(start_ns, start)) for start, end in stretches)
