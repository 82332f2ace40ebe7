"""Pure: who used a set of CPUs in an interval, from what each used anywhere.

Of a thread or process that may run inside of the set and outside of it too, only where it ran last is known.
All of them together must fit into the time that the CPUs of the set were busy:

    busy      |-------------------------------------|
    certain   |---------------|                          may run on no other CPUs
    others                    |~~~~~~~~~~|               stretched, or shrunk, to the room that is left; so are those
                                                         that ended meanwhile, of which only their wont is known
    unseen                               |----------|    what even all of their use cannot fill
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from whywait.tracer import schema as s
from whywait.tracer.offcpu.cpu_user_names import UNSEEN, CpuNames, Named
from whywait.tracer.sampler.cpu_history import Interval

_UNSEEN_SHARE: Final = 0.1  # of the CPUs; what is less lies within the coarseness of the counters


@dataclass(slots=True)
class Mix:
    """Who used a set of CPUs in an interval, in ns."""

    by_name: dict[Named, float] = field(default_factory=dict)
    of_thread: dict[int, dict[Named, float]] = field(
        default_factory=dict
    )  # the same, of threads of this process
    threads: "Counter[Named]" = field(default_factory=Counter)  # how many there were of a name
    total: float = 0.0  # the use of all together, ns
    wanted: float = 0.0  # threads of this process that wanted a CPU at once, on average
    native: float = 0.0  # those of them that run no Python


class _Use(NamedTuple):
    names: list[Named]
    thread_id: int
    used_ns: int
    part: float  # that is taken to lie inside of the set
    certain: bool


def mixed(one: Interval, allowed: frozenset[int], names: CpuNames) -> Mix:
    """Who used the CPUs of `allowed`; an empty set stands for all."""
    mix = Mix()
    length_ns = max(one.end_ns - one.start_ns, 1)
    uses = []
    for thread in one.threads:
        named = names.of_thread(thread, one.start_ns, one.end_ns)
        if thread.thread_id:
            wanted = min((thread.used_ns + thread.waited_ns) / length_ns, 1.0)
            mix.wanted += wanted
            mix.native += wanted if named[0].kind == s.RIVAL_NATIVE else 0.0
        part, certain = _inside(thread.cpu, thread.cpus, allowed)
        uses.append(_Use(named, thread.thread_id, thread.used_ns, part, certain))
    busy_ns = one.busy_ns.get(allowed or one.cpus)
    for process in one.processes:
        if process.ended and busy_ns is None:
            continue  # nothing says that it used any
        part, certain = _inside(process.cpu, process.cpus, allowed)
        certain = certain and not process.ended
        uses.append(_Use([names.of_process(process)], 0, process.used_ns, part, certain))
    for use, ns in zip(uses, _fitted(uses, busy_ns), strict=True):
        if ns <= 0:
            continue
        own = mix.of_thread.setdefault(use.thread_id, {}) if use.thread_id else {}
        for each in use.names:
            mix.by_name[each] = mix.by_name.get(each, 0.0) + ns / len(use.names)
            own[each] = own.get(each, 0.0) + ns / len(use.names)
        mix.threads.update(set(use.names))
    unseen_ns = (busy_ns or 0) - sum(mix.by_name.values())
    if unseen_ns >= _UNSEEN_SHARE * len(allowed or one.cpus) * length_ns:
        mix.by_name[Named(s.RIVAL_PROCESS, UNSEEN)] = unseen_ns
    mix.total = sum(mix.by_name.values())
    return mix


def _inside(cpu: int, cpus: frozenset[int], allowed: frozenset[int]) -> tuple[float, bool]:
    """The part of a use that lies on `allowed`, and whether that is certain."""
    if not allowed or not cpus or cpus <= allowed:
        return 1.0, bool(cpus) or not allowed
    inside = len(cpus & allowed) / len(cpus)
    if not inside:
        return 0.0, True
    return (inside + (cpu in allowed)) / 2, False


def _fitted(uses: list[_Use], busy_ns: int | None) -> list[float]:
    certain = sum(use.used_ns * use.part for use in uses if use.certain)
    others = sum(use.used_ns * use.part for use in uses if not use.certain)
    scale = max(busy_ns - certain, 0.0) / others if busy_ns is not None and others else 1.0
    return [
        use.used_ns * use.part if use.certain else min(use.used_ns * use.part * scale, use.used_ns)
        for use in uses
    ]
