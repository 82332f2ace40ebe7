"""Divides a thread's run-queue time among what used the CPUs, and the quota that withheld them. Pure.

    run queue of a thread    |~~~~~|        |~~~~~~~~~~~~~~~~~|
    the quota had run out                           |---------|      throttled
    intervals of the sampler |-----------|-----------|-----------|   what used the CPUs in each

What lies in a stretch without quota belongs to the quota. The rest is divided, interval by interval, by the use of the
CPUs on which the thread may run; what others used less than the thread waited is unknown. All uses must fit into the
busy time of these CPUs:

    busy      |-------------------------------------|
    certain   |---------------|                          of those that may run on no other CPUs
    others                    |~~~~~~~~~~|               stretched, or shrunk, to the room that is left; so are those
                                                         that ended meanwhile, of which only the use before is known
    unseen                               |----------|    busy time beyond all known use
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.offcpu.cpu_user_names import UNSEEN, CpuNames, Named
from whywait.tracer.sampler.cpu_history import CpuPast, Interval, ProcessUse, ThreadUse

_MOST: Final = 4  # rivals of one span
_NAMED_NS: Final = 400_000  # of a run-queue time: from this length on they are named
_PROCESSES: Final = (s.RIVAL_PROCESS, s.RIVAL_SIBLING)
_UNSEEN_THREAD: Final = ThreadUse(0, 0, 100_000)  # a thread missing in an interval waited less
_UNSEEN_SHARE: Final = 0.1  # of the CPUs; less is within the resolution of the counters


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


class _User(NamedTuple):
    """A part of what used a set of CPUs in an interval; each name of one user is there once."""

    thread_id: int  # 0: no thread of this process that is known
    named: Named
    ns: float
    wanted: float = 0.0  # for how many runnable threads of this process it stands, on average


class _Part(NamedTuple):
    interval: Interval
    cpus: int  # on which the thread may run
    users: Sequence[_User]  # of these CPUs
    share: float  # of the interval, that the stretches overlap
    weight: float  # how long the thread waited in it
    most_ns: float  # how long the thread waited for others in the whole interval; 0: unknown

    def divided(self, thread_id: int, part_ns: float) -> Iterator[tuple[Named, float]]:
        """What used the CPUs during `part_ns` of waiting; less of it where the others used less."""
        others = [user for user in self.users if user.thread_id != thread_id]
        needed_ns = max(self.most_ns or part_ns / self.share, part_ns, 1.0)
        scale = part_ns / max(sum(user.ns for user in others), needed_ns)
        return ((user.named, scale * user.ns) for user in others)

    def times(self, named: Named) -> int:
        return sum(named == user.named for user in self.users if user.ns > 0)


class CpuRivals:
    """Answers for one round of the exporter."""

    def __init__(self, past: CpuPast, names: CpuNames) -> None:
        self._past = past
        self._names = names
        self._users: dict[tuple[int, frozenset[int]], Sequence[_User]] = {}

    def divide(self, thread_id: int, stretches: Sequence[tuple[int, int]], run_queue_ns: int) -> Division:
        """The parts of `run_queue_ns`, which a thread spent in these disjoint stretches, in order of time."""
        throttled_ns = min(self._throttled_in(stretches), run_queue_ns)
        rest_ns = run_queue_ns - throttled_ns
        parts = list(self._parts(thread_id, stretches))
        if not parts:
            return Division(0, 0, throttled_ns, rest_ns, (), 0, 0, 0, 0, 0)
        whole = sum(one.weight for one in parts) or 1.0
        shares: defaultdict[Named, float] = defaultdict(float)
        wanted: defaultdict[str, float] = defaultdict(float)  # by kind
        for one in parts:
            for named, ns in one.divided(thread_id, rest_ns * one.weight / whole):
                shares[named] += ns
            for user in one.users:
                wanted[user.named.kind] += user.wanted * one.weight / whole * 1_000
        known_ns = min(int(sum(shares.values())), rest_ns)
        process_ns = min(int(sum(ns for named, ns in shares.items() if named.kind in _PROCESSES)), known_ns)
        return Division(
            process_ns, known_ns - process_ns, throttled_ns, rest_ns - known_ns,
            self._rivals(shares, parts, run_queue_ns),
            parts[0].interval.quota_ns, parts[0].interval.period_ns, parts[0].cpus,
            round(sum(wanted.values())), round(wanted[s.RIVAL_NATIVE]),
        )  # fmt: skip

    def _rivals(self, shares: Mapping[Named, float], parts: Sequence[_Part], run_queue_ns: int) -> tuple[Rival, ...]:
        if run_queue_ns < _NAMED_NS:
            return ()
        ranked = sorted(shares.items(), key=itemgetter(1), reverse=True)
        if len(ranked) > _MOST:
            ranked = _merged(ranked)
        return tuple(
            Rival(named, self._names.spans.get(named, 0), max(one.times(named) for one in parts), int(ns))
            for named, ns in ranked[:_MOST]
            if ns >= 1
        )

    def _throttled_in(self, stretches: Sequence[tuple[int, int]]) -> int:
        found = self._past.throttled(stretches[0][0], stretches[-1][1]) if stretches else ()
        return sum(_overlap(*one, stretches) for one in found)

    def _parts(self, thread_id: int, stretches: Sequence[tuple[int, int]]) -> Iterator[_Part]:
        for one in self._past.during(stretches[0][0], stretches[-1][1]) if stretches else ():
            use = next((each for each in one.threads if each.thread_id == thread_id), _UNSEEN_THREAD)
            share = _overlap(one.start_ns, one.end_ns, stretches) / max(one.end_ns - one.start_ns, 1)
            allowed = use.cpus or one.cpus
            if share > 0:
                most_ns = max(use.waited_ns - self._throttled_in([one[:2]]), 1) if use.thread_id else 0
                if (key := (one.start_ns, allowed)) not in self._users:
                    self._users[key] = list(_users(one, allowed, self._names))
                yield _Part(one, len(allowed), self._users[key], share, use.waited_ns * share, most_ns)


def _merged(ranked: Sequence[tuple[Named, float]]) -> list[tuple[Named, float]]:
    """The sums of what one function did for several requests, under the longest of these; the longest sum first."""
    chief: dict[Named, Named] = {}
    sums: defaultdict[Named, float] = defaultdict(float)
    for named, ns in ranked:
        sums[chief.setdefault(named._replace(trace_id=0), named)] += ns
    return sorted(sums.items(), key=itemgetter(1), reverse=True)


def _users(one: Interval, allowed: frozenset[int], names: CpuNames) -> Iterator[_User]:
    length_ns = max(one.end_ns - one.start_ns, 1)
    busy_ns, known_ns = one.busy_ns.get(allowed), 0.0
    all_uses: tuple[ThreadUse | ProcessUse, ...] = one.threads + one.processes
    # an ended process is no rival without evidence of its use
    uses = [each for each in all_uses if not each.ended or busy_ns is not None]
    for use, ns in zip(uses, _fitted(uses, allowed, busy_ns), strict=True):
        named = names.of(use, one.start_ns, one.end_ns)
        wanted = min((use.used_ns + use.waited_ns) / length_ns, 1.0) if use.thread_id else 0.0
        for each, times in Counter(named).items():
            yield _User(use.thread_id, each, ns * times / len(named), wanted * times / len(named))
        known_ns += ns
    if (unseen_ns := (busy_ns or 0) - known_ns) >= _UNSEEN_SHARE * len(allowed) * length_ns:
        yield _User(0, Named(s.RIVAL_PROCESS, UNSEEN), unseen_ns)


def _fitted(uses: Sequence[ThreadUse | ProcessUse], allowed: frozenset[int], busy_ns: int | None) -> list[float]:
    found = [_used_inside(use, allowed) for use in uses]
    others_ns = sum(ns for _, ns in found)
    scale = 1.0
    if busy_ns is not None and others_ns:
        scale = max(busy_ns - sum(ns for ns, _ in found), 0.0) / others_ns
    return [certain + min(other * scale, use.used_ns) for use, (certain, other) in zip(uses, found, strict=True)]


def _used_inside(use: ThreadUse | ProcessUse, allowed: frozenset[int]) -> tuple[float, float]:
    """How long it used these CPUs, if it used all of its own alike: for certain, or maybe; one of them is 0."""
    share = len(use.cpus & allowed) / len(use.cpus) if allowed and use.cpus else 1.0
    is_certain = share in (0.0, 1.0) and (bool(use.cpus) or not allowed)
    return (use.used_ns * share, 0.0) if is_certain and not use.ended else (0.0, use.used_ns * share)


def _overlap(start_ns: int, end_ns: int, stretches: Sequence[tuple[int, int]]) -> int:
    return sum(max(0, min(end_ns, end) - max(start_ns, start)) for start, end in stretches)
