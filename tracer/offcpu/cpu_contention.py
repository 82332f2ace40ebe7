"""Divides a thread's run-queue time among what used the CPUs, and the quota that withheld them, and names these. Pure.

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
from whywait.tracer.host.code_location import Place
from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.records.gil_holder import summed
from whywait.tracer.sampler.cpu_history import CpuPast, Interval, ProcessUse, ThreadUse

_MOST: Final = 4  # rivals of one span, beside the quota and those that are not named
_NAMED_NS: Final = 400_000  # of a run-queue time: from this length on they are named
_MOMENTS: Final = 5  # of an interval: a thread's work is looked up at each
_OF: Final = "native threads of "
_NATIVE: Final = {"": "native threads"} | {one: f"{_OF}{one} (OpenMP)" for one in ("libgomp", "libomp", "libiomp5")}
_OWN: Final = (s.RIVAL_THREAD, s.RIVAL_NATIVE)
_UNSEEN_THREAD: Final = ThreadUse(0, 0, 100_000)  # a thread missing in an interval waited less
_UNSEEN_SHARE: Final = 0.1  # of the CPUs; less is within the resolution of the counters


class CpuUser(NamedTuple):
    """What used a CPU, or withheld it, as far as known, for a part of a run-queue time."""

    kind: str  # schema.RIVAL_*
    name: str
    process_id: int = 0  # below 0: of so many processes of this name
    place: Place | None = None
    trace_id: int = 0
    span_id: int = 0  # one of those in which a thread did this
    ns: int = 0


OTHER_PROCESSES: Final = CpuUser(s.RIVAL_PROCESS, "other processes")
OTHER_THREADS: Final = CpuUser(s.RIVAL_THREAD, "other threads of this process")
UNSEEN: Final = CpuUser(s.RIVAL_PROCESS, "processes that cannot be seen from here")
_SHORT_LIVED: Final = CpuUser(s.RIVAL_THREAD, "short-lived threads")
_OWN_WORK: Final = CpuUser(s.RIVAL_THREAD, s.OWN_WORK)


class Division(NamedTuple):
    """A run-queue time by what used the CPUs; what the users leave of it is unknown."""

    users: tuple[CpuUser, ...]  # longest first, the quota among them
    quota_ns: int  # CPU time per `period_ns`; both 0: no quota
    period_ns: int
    cpus: int  # on which the thread may run; 0: unknown
    wanted_milli: int  # runnable threads of this process, on average, in thousandths
    native_milli: int  # of them, threads without Python


class _Use(NamedTuple):
    """A part of what used a set of CPUs in an interval; each name of one user is there once."""

    thread_id: int  # 0: no thread of this process that is known
    user: CpuUser
    ns: float
    wanted: float = 0.0  # for how many runnable threads of this process it stands, on average


class _Part(NamedTuple):
    interval: Interval
    cpus: int  # on which the thread may run
    uses: Sequence[_Use]  # of these CPUs
    share: float  # of the interval, that the stretches overlap
    weight: float  # how long the thread waited in it
    most_ns: float  # how long the thread waited for others in the whole interval; 0: unknown

    def divided(self, thread_id: int, part_ns: float) -> Iterator[tuple[CpuUser, float]]:
        """What used the CPUs during `part_ns` of waiting; less of it where the others used less."""
        others = [use for use in self.uses if use.thread_id != thread_id]
        needed_ns = max(self.most_ns or part_ns / self.share, part_ns, 1.0)
        scale = part_ns / max(sum(use.ns for use in others), needed_ns)
        return ((use.user, scale * use.ns) for use in others)


class CpuRivals:
    """Answers for one round of the exporter; `holders` is the recent work of threads."""

    def __init__(self, past: CpuPast, holders: HolderPast) -> None:
        self._past = past
        self._holders = holders
        self._uses: dict[tuple[int, frozenset[int]], Sequence[_Use]] = {}
        self._spans: dict[CpuUser, int] = {}  # a span in which a thread did what it is named for

    def divide(self, thread_id: int, stretches: Sequence[tuple[int, int]], run_queue_ns: int) -> Division:
        """The users during `run_queue_ns`, which a thread spent in these disjoint stretches, in order of time."""
        throttled_ns = min(self._throttled_in(stretches), run_queue_ns)
        rest_ns = run_queue_ns - throttled_ns
        parts = list(self._parts(thread_id, stretches))
        whole = sum(one.weight for one in parts) or 1.0
        shares: defaultdict[CpuUser, float] = defaultdict(float)
        wanted: defaultdict[str, float] = defaultdict(float)  # by kind
        for one in parts:
            for user, ns in one.divided(thread_id, rest_ns * one.weight / whole):
                shares[user] += ns
            for use in one.uses:
                wanted[use.user.kind] += use.wanted * one.weight / whole * 1_000
        quota_ns, period_ns = parts[0].interval[-2:] if parts else (0, 0)
        users = _named(shares, _MOST if run_queue_ns >= _NAMED_NS else 0)
        users.append((_quota(quota_ns, period_ns), throttled_ns))
        return Division(
            tuple(
                user._replace(span_id=self._spans.get(user, 0), ns=int(ns))
                for user, ns in sorted(users, key=itemgetter(1), reverse=True)
                if ns >= 1
            ),
            quota_ns, period_ns, parts[0].cpus if parts else 0,
            round(sum(wanted.values())), round(wanted[s.RIVAL_NATIVE]),
        )  # fmt: skip

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
                if (key := (one.start_ns, allowed)) not in self._uses:
                    self._uses[key] = list(self._used(one, allowed))
                yield _Part(one, len(allowed), self._uses[key], share, use.waited_ns * share, most_ns)

    def _used(self, one: Interval, allowed: frozenset[int]) -> Iterator[_Use]:
        length_ns = max(one.end_ns - one.start_ns, 1)
        busy_ns, known_ns = one.busy_ns.get(allowed), 0.0
        both: tuple[ThreadUse | ProcessUse, ...] = one.threads + one.processes
        # an ended process is no rival without evidence of its use
        seen = [each for each in both if not each.ended or busy_ns is not None]
        for use, ns in zip(seen, _fitted(seen, allowed, busy_ns), strict=True):
            users = self.users(use, one.start_ns, one.end_ns)
            wanted = min((use.used_ns + use.waited_ns) / length_ns, 1.0) if use.thread_id else 0.0
            for each, times in Counter(users).items():
                yield _Use(use.thread_id, each, ns * times / len(users), wanted * times / len(users))
            known_ns += ns
        if (unseen_ns := (busy_ns or 0) - known_ns) >= _UNSEEN_SHARE * len(allowed) * length_ns:
            yield _Use(0, UNSEEN, unseen_ns)

    def users(self, one: ThreadUse | ProcessUse, start_ns: int, end_ns: int) -> list[CpuUser]:
        """Return a process, or a thread's work in an interval, each entry for an equal part of it; never empty."""
        if isinstance(one, ProcessUse):
            return [self._process(one)]
        tid = one.thread_id
        if not tid:
            return [_SHORT_LIVED]
        if not one.python and not self._holders.knows(tid):
            library = self._past.libraries.get(tid, "")
            return [CpuUser(s.RIVAL_NATIVE, _NATIVE.get(library, f"{_OF}{library}"))]
        step_ns = (end_ns - start_ns) / (2 * _MOMENTS)
        seen = [self._holders.at(tid, start_ns + int(step_ns * at)) for at in range(1, 2 * _MOMENTS, 2)]
        worked = [one for one in seen if one.place is not None or one.trace_id] or seen
        found = [CpuUser(s.RIVAL_THREAD, holder.name, 0, holder.place, holder.trace_id) for holder in worked]
        self._spans.update(zip(found, (holder.span_id for holder in worked), strict=True))
        return found

    def _process(self, one: ProcessUse) -> CpuUser:
        if one.process_id == self._past.process.id:  # a part of this process
            return _OWN_WORK
        if one.sibling:
            return CpuUser(s.RIVAL_SIBLING, f"sibling process {one.name}", one.process_id)
        return CpuUser(s.RIVAL_PROCESS, f"process {one.name}", one.process_id) if one.process_id else OTHER_PROCESSES


def _named(shares: Mapping[CpuUser, float], most: int) -> list[tuple[CpuUser, float]]:
    """The longest. Where they are many, what one function did for several requests is one under the longest of these, and
    so are processes of one name, and all others; those that the sampler did not list stand for themselves."""
    ranked = sorted(shares.items(), key=itemgetter(1), reverse=True)
    if 0 < most < len(ranked):
        alike = Counter(_alike(user) for user, _ in ranked if user.process_id)
        ranked = [
            (user._replace(process_id=-many) if (many := alike[_alike(user)]) > 1 else user, ns)
            for user, ns in summed(ranked, _alike)
        ]
    found = ranked[:most]
    for other, are in ((OTHER_THREADS, True), (OTHER_PROCESSES, False)):
        found.append((other, sum(ns for user, ns in ranked[most:] if (user.kind in _OWN) is are)))
    return found


def _alike(user: CpuUser) -> CpuUser:
    return user._replace(trace_id=0, process_id=0)


def _quota(quota_ns: int, period_ns: int) -> CpuUser:
    cpus = quota_ns / period_ns if period_ns else 0
    size = f" of {cpus:.3g} CPU{'' if cpus == 1 else 's'}" if cpus else ""
    return CpuUser(s.RIVAL_QUOTA, f"the CPU quota{size}")


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
