"""Pure: divides a thread's run-queue time among those who had the CPUs, and the quota that withheld them.

    run queue of a thread    |~~~~~|        |~~~~~~~~~~~~~~~~~|
    the quota had run out                           |---------|      throttled
    intervals of the sampler |-----------|-----------|-----------|   who used the CPUs in each

What lies in a stretch in which the quota had run out is the quota's. The rest is divided, interval by
interval, as the CPUs on which the thread may run were used by others; where they used less than the
thread waited, the difference is not known.
"""

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Final, NamedTuple, Protocol

from whywait.tracer import schema as s
from whywait.tracer.offcpu.cpu_shares import Mix, mixed
from whywait.tracer.offcpu.cpu_user_names import CpuNames, Named
from whywait.tracer.sampler.cpu_history import Interval, Stretch, ThreadUse

_MOST: Final = 4  # rivals of one span
_NAMED_NS: Final = 400_000  # of a run-queue time, from which they are named
_PROCESSES: Final = (s.RIVAL_PROCESS, s.RIVAL_SIBLING)
_SLIGHT_NS: Final = 100_000  # a thread of which an interval does not tell waited less


class Past(Protocol):
    """What `whywait.tracer.sampler.cpu_history.CpuPast` is."""

    def during(self, start_ns: int, end_ns: int) -> Iterable[Interval]:
        """The intervals that overlap the stretch."""

    def throttled(self, start_ns: int, end_ns: int) -> Sequence[Stretch]:
        """The stretches that overlap this one in which a quota had run out."""


class Rival(NamedTuple):
    """One who had a CPU for a part of the time."""

    named: Named
    span_id: int
    threads: int  # how many of this process; 0 for another one
    ns: int

    @property
    def number(self) -> int:
        """The process id; of threads, how many they were."""
        return self.named.process_id or self.threads


class Division(NamedTuple):
    """Parts of a run-queue time; the first four sum to it."""

    process_ns: int
    own_ns: int
    throttled_ns: int
    unknown_ns: int
    rivals: tuple[Rival, ...]  # longest first, of the first two
    quota_ns: int  # CPU time per `period_ns`; both 0: no quota
    period_ns: int
    cpus: int  # on which the thread may run; 0: not known
    wanted_milli: int  # threads of this process that wanted a CPU at once, on average, in thousandths
    native_milli: int  # those of them that run no Python


class CpuRivals:
    """Answers for one turn of the exporter."""

    def __init__(self, past: Past, names: CpuNames) -> None:
        self._past = past
        self._names = names
        self._mixes: dict[tuple[int, frozenset[int]], Mix] = {}
        self._own: dict[int, dict[int, ThreadUse]] = {}  # by interval

    def divide(self, thread_id: int, stretches: Sequence[tuple[int, int]], run_queue_ns: int) -> Division:
        """The parts of `run_queue_ns`, which a thread spent in these disjoint stretches, in order of time."""
        if not stretches:
            return Division(0, 0, 0, run_queue_ns, (), 0, 0, 0, 0, 0)
        intervals = [
            (one, overlap)
            for one in self._past.during(stretches[0][0], stretches[-1][1])
            if (overlap := _overlap(one.start_ns, one.end_ns, stretches)) > 0
        ]
        throttled_ns = min(self._throttled_in(stretches), run_queue_ns)
        rest_ns = run_queue_ns - throttled_ns
        shares: list[tuple[Named, float]] = []
        mixes: list[Mix] = []
        seen = [(one, overlap, self._of(one).get(thread_id)) for one, overlap in intervals]
        weights = [
            (use.waited_ns if use is not None else _SLIGHT_NS) * overlap / max(one.end_ns - one.start_ns, 1)
            for one, overlap, use in seen
        ]
        whole = sum(weights)
        cpus = wanted = native = 0.0
        for (one, overlap, use), weight in zip(seen, weights, strict=True):
            allowed = use.cpus if use is not None and use.cpus else one.cpus
            mix = self._mix(one, allowed)
            part_ns = rest_ns * weight / whole if whole else 0.0
            shares += self._shared(mix, thread_id, part_ns, self._needed(one, overlap, use, part_ns))
            mixes.append(mix)
            cpus = max(cpus, len(allowed))
            wanted += mix.wanted * weight / whole if whole else 0.0
            native += mix.native * weight / whole if whole else 0.0
        if len(mixes) > 1:
            shares = _summed(shares)
        processes = own = 0.0
        for named, ns in shares:
            if named.kind in _PROCESSES:
                processes += ns
            else:
                own += ns
        process_ns = int(processes)
        own_ns = min(int(own), rest_ns - process_ns)
        quota = min(
            ((one.quota_ns, one.period_ns) for one, _ in intervals if one.period_ns),
            key=lambda found: found[0] / found[1],
            default=(0, 0),
        )
        return Division(
            process_ns,
            own_ns,
            throttled_ns,
            rest_ns - process_ns - own_ns,
            self._rivals(shares, mixes) if run_queue_ns >= _NAMED_NS else (),
            *quota,
            int(cpus),
            int(wanted * 1_000),
            int(native * 1_000),
        )

    def _rivals(self, shares: Iterable[tuple[Named, float]], mixes: Sequence[Mix]) -> tuple[Rival, ...]:
        return tuple(
            Rival(named, self._names.spans.get(named, 0), max(mix.threads[named] for mix in mixes), int(ns))
            for named, ns in sorted(shares, key=itemgetter(1), reverse=True)[:_MOST]
            if ns >= 1
        )

    def _throttled_in(self, stretches: Sequence[tuple[int, int]]) -> int:
        found = self._past.throttled(stretches[0][0], stretches[-1][1])
        return sum(_overlap(one.start_ns, one.end_ns, stretches) for one in found)

    def _needed(self, one: Interval, overlap: int, use: ThreadUse | None, part_ns: float) -> float:
        """For how long the thread waited for others in all of the interval."""
        if use is None:
            return part_ns * (one.end_ns - one.start_ns) / overlap
        throttled_ns = self._throttled_in([(one.start_ns, one.end_ns)])
        return max(use.waited_ns - throttled_ns, part_ns)

    @staticmethod
    def _shared(mix: Mix, thread_id: int, part_ns: float, needed_ns: float) -> list[tuple[Named, float]]:
        own = mix.of_thread.get(thread_id, {})
        others_ns = mix.total - sum(own.values())
        if others_ns <= 0 or part_ns <= 0:
            return []
        known_ns = part_ns * min(1.0, others_ns / max(needed_ns, 1.0))
        others = {**mix.by_name, **{named: mix.by_name[named] - ns for named, ns in own.items()}}
        return [(named, known_ns * ns / others_ns) for named, ns in others.items() if ns > 0]

    def _of(self, one: Interval) -> dict[int, ThreadUse]:
        found = self._own.get(one.start_ns)
        if found is None:
            found = self._own[one.start_ns] = {use.thread_id: use for use in one.threads}
        return found

    def _mix(self, one: Interval, allowed: frozenset[int]) -> Mix:
        key = (one.start_ns, allowed)
        mix = self._mixes.get(key)
        if mix is None:
            mix = self._mixes[key] = mixed(one, allowed, self._names)
        return mix


def _summed(shares: Iterable[tuple[Named, float]]) -> list[tuple[Named, float]]:
    total: dict[Named, float] = {}
    for named, ns in shares:
        total[named] = total.get(named, 0.0) + ns
    return list(total.items())


def _overlap(start_ns: int, end_ns: int, stretches: Sequence[tuple[int, int]]) -> int:
    return sum(max(0, min(end_ns, end) - max(start_ns, start)) for start, end in stretches)
