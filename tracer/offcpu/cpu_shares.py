"""Finds what used a set of CPUs in an interval, from the total use of each process and thread. Pure.

All uses must fit into the busy time of the CPUs of the set:

    busy      |-------------------------------------|
    certain   |---------------|                          of those that may run on no other CPUs
    others                    |~~~~~~~~~~|               stretched, or shrunk, to the room that is left; so are those
                                                         that ended meanwhile, of which only the use before is known
    unseen                               |----------|    busy time beyond all known use
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final

from whywait.tracer import schema as s
from whywait.tracer.offcpu.cpu_user_names import UNSEEN, CpuNames, Named
from whywait.tracer.sampler.cpu_history import Interval, ProcessUse, ThreadUse

_UNSEEN_SHARE: Final = 0.1  # of the CPUs; less is within the resolution of the counters


@dataclass(slots=True)
class Mix:
    """The users of a set of CPUs in an interval, in ns."""

    by_name: defaultdict[Named, float] = field(default_factory=lambda: defaultdict(float))
    of_thread: dict[int, dict[Named, float]] = field(default_factory=dict)  # the same, of threads of this process
    threads: "Counter[Named]" = field(default_factory=Counter)  # how many there were of a name
    wanted: float = 0.0  # runnable threads of this process, on average
    native: float = 0.0  # of them, threads without Python


def mixed(one: Interval, allowed: frozenset[int], names: CpuNames) -> Mix:
    """Return the users of the CPUs in `allowed`; an empty set means all CPUs."""
    mix = Mix()
    length_ns = max(one.end_ns - one.start_ns, 1)
    busy_ns = one.busy_ns.get(allowed or one.cpus)
    # an ended process is no rival without evidence of its use
    processes = [each for each in one.processes if not each.ended or busy_ns is not None]
    uses: list[ThreadUse | ProcessUse] = [*one.threads, *processes]
    for use, ns in zip(uses, _fitted(uses, allowed, busy_ns), strict=True):
        if isinstance(use, ThreadUse):
            named = names.of_thread(use, one.start_ns, one.end_ns)
            wanted = min((use.used_ns + use.waited_ns) / length_ns, 1.0) if use.thread_id else 0.0
            mix.wanted += wanted
            mix.native += wanted if named[0].kind == s.RIVAL_NATIVE else 0.0
            counts = Counter(named)
            mix.of_thread[use.thread_id] = {each: ns * times / len(named) for each, times in counts.items()}
        else:
            named = [names.of_process(use)]
        if ns > 0:
            for each in named:
                mix.by_name[each] += ns / len(named)
            mix.threads.update(set(named))
    unseen_ns = (busy_ns or 0) - sum(mix.by_name.values())
    if unseen_ns >= _UNSEEN_SHARE * len(allowed or one.cpus) * length_ns:
        mix.by_name[Named(s.RIVAL_PROCESS, UNSEEN)] = unseen_ns
    return mix


def _fitted(uses: list[ThreadUse | ProcessUse], allowed: frozenset[int], busy_ns: int | None) -> list[float]:
    certain, others = [], []
    for use in uses:
        inside = len(use.cpus & allowed) / len(use.cpus) if allowed and use.cpus else 1.0
        sure = inside in (0.0, 1.0) and (bool(use.cpus) or not allowed)
        sure = sure and not (isinstance(use, ProcessUse) and use.ended)
        certain.append(use.used_ns * inside if sure else 0.0)
        others.append(0.0 if sure else use.used_ns * inside)
    scale = max(busy_ns - sum(certain), 0.0) / sum(others) if busy_ns is not None and any(others) else 1.0
    fitted = zip(uses, certain, others, strict=True)
    return [sure + min(other * scale, use.used_ns) for use, sure, other in fitted]
