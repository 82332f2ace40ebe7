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

from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    """What used a set of CPUs in an interval."""

    thread_id: int  # 0: no thread of this process that is known
    ns: float
    named: Sequence[Named]  # each for an equal part


class _Mix(NamedTuple):
    """The users of a set of CPUs in an interval."""

    users: Sequence[_User]
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

    def divided(self, thread_id: int, part_ns: float) -> dict[Named, float]:
        """What used the CPUs during `part_ns` of waiting; less of it where the others used less."""
        others = [user for user in self.mix.users if user.thread_id != thread_id]
        needed_ns = max(self.most_ns or part_ns / self.share, part_ns, 1.0)
        scale = part_ns / max(sum(user.ns for user in others), needed_ns)
        return _summed((named, scale * user.ns / len(user.named)) for user in others for named in user.named)


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
        shares = _summed(
            share for one in parts for share in one.divided(thread_id, rest_ns * one.weight / whole).items()
        )
        process_ns = int(sum(ns for named, ns in shares.items() if named.kind in _PROCESSES))
        own_ns = int(sum(ns for named, ns in shares.items() if named.kind not in _PROCESSES))
        own_ns = min(own_ns, rest_ns - process_ns)
        quotas = ((one.interval.quota_ns, one.interval.period_ns) for one in parts if one.interval.period_ns)
        return Division(
            process_ns, own_ns, throttled_ns, rest_ns - process_ns - own_ns,
            self._rivals(shares, parts) if run_queue_ns >= _NAMED_NS else (),
            *min(quotas, key=lambda quota: quota[0] / quota[1], default=(0, 0)),
            max((one.cpus for one in parts), default=0),
            int(sum(one.mix.wanted * one.weight for one in parts) / whole * 1_000),
            int(sum(one.mix.native * one.weight for one in parts) / whole * 1_000),
        )  # fmt: skip

    def _rivals(self, shares: Mapping[Named, float], parts: Sequence[_Part]) -> tuple[Rival, ...]:
        longest = sorted(shares.items(), key=itemgetter(1), reverse=True)[:_MOST]
        return tuple(
            Rival(named, self._names.spans.get(named, 0), max(_times(named, one.mix) for one in parts), int(ns))
            for named, ns in longest
            if ns >= 1
        )

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
        mix = self._mixes[key]
        if use is None:
            return _Part(one, len(allowed), mix, share, _SLIGHT_NS * share, 0)
        most_ns = max(use.waited_ns - self._throttled_in([(one.start_ns, one.end_ns)]), 1)
        return _Part(one, len(allowed), mix, share, use.waited_ns * share, most_ns)


def _summed(parts: Iterable[tuple[Named, float]]) -> dict[Named, float]:
    sums: dict[Named, float] = {}
    for named, ns in parts:
        sums[named] = sums.get(named, 0.0) + ns
    return sums


def _mixed(one: Interval, allowed: frozenset[int], names: CpuNames) -> _Mix:
    length_ns = max(one.end_ns - one.start_ns, 1)
    busy_ns = one.busy_ns.get(allowed or one.cpus)
    # an ended process is no rival without evidence of its use
    processes = [each for each in one.processes if not each.ended or busy_ns is not None]
    fitted = _fitted([*one.threads, *processes], allowed, busy_ns)
    threads = [(use, names.of_thread(use, one.start_ns, one.end_ns)) for use in one.threads]
    users = [_User(use.thread_id, next(fitted), named) for use, named in threads]
    users += [_User(0, next(fitted), [names.of_process(use)]) for use in processes]
    unseen_ns = (busy_ns or 0) - sum(user.ns for user in users)
    if unseen_ns >= _UNSEEN_SHARE * len(allowed or one.cpus) * length_ns:
        users.append(_User(0, unseen_ns, [Named(s.RIVAL_PROCESS, UNSEEN)]))
    wanted = [
        (min((use.used_ns + use.waited_ns) / length_ns, 1.0), named[0].kind == s.RIVAL_NATIVE)
        for use, named in threads
        if use.thread_id
    ]
    return _Mix(users, sum(share for share, _ in wanted), sum(share for share, native in wanted if native))


def _fitted(uses: Sequence[ThreadUse | ProcessUse], allowed: frozenset[int], busy_ns: int | None) -> Iterator[float]:
    inside = [use.used_ns * (len(use.cpus & allowed) / len(use.cpus) if allowed and use.cpus else 1.0) for use in uses]
    certain = [
        ns in (0.0, use.used_ns) and (bool(use.cpus) or not allowed) and not (isinstance(use, ProcessUse) and use.ended)
        for use, ns in zip(uses, inside, strict=True)
    ]
    others_ns = sum(ns for ns, sure in zip(inside, certain, strict=True) if not sure)
    scale = 1.0
    if busy_ns is not None and others_ns:
        scale = max(busy_ns - (sum(inside) - others_ns), 0.0) / others_ns
    for use, ns, sure in zip(uses, inside, certain, strict=True):
        yield ns if sure else min(ns * scale, use.used_ns)


def _times(named: Named, mix: _Mix) -> int:
    return sum(named in user.named for user in mix.users if user.ns > 0)


def _overlap(start_ns: int, end_ns: int, stretches: Sequence[tuple[int, int]]) -> int:
    return sum(max(0, min(end_ns, end) - max(start_ns, start)) for start, end in stretches)
