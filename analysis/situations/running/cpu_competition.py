"""Requests wait for a CPU: what used the CPUs, and whether native libraries run too many threads for them."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from whywait.analysis.attribution.cpu_rivals import (
    OTHER_PROCESSES,
    OTHER_THREADS,
    PROCESSES,
    culprit_name,
    positive_ns,
    quota_name,
    quota_of,
    rows_of,
)
from whywait.analysis.causes import Cause
from whywait.analysis.measure.weights import weights_of
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.what_helps import NATIVE, look_up
from whywait.tracer import schema

SAID_SHARE: Final = 0.1  # of the wait: from this share on a rival is named
TOO_MANY: Final = 1.5  # runnable threads per CPU: from this number on they are too many
# of the threads: from this share on native threads are the reason. The thread that calls into a native pool of
# two is itself one of the two
NATIVE_SHARE: Final = 0.3
_KIND_OF: Final = {
    schema.RIVAL_PROCESS: Situation.CPU_OTHER_PROCESSES,
    schema.RIVAL_SIBLING: Situation.CPU_SIBLING_PROCESSES,
    schema.RIVAL_THREAD: Situation.CPU_OWN_THREADS,
    schema.RIVAL_NATIVE: Situation.CPU_NATIVE_THREADS,
}
_RIVALS: Final = (schema.RIVAL_KINDS, schema.RIVAL_NAMES, schema.RIVAL_NUMBERS)
_ELSEWHERE: Final = (Situation.CPU_OTHER_PROCESSES, Situation.CPU_SIBLING_PROCESSES, Situation.CPU_QUOTA)
_Recorded = list[tuple[dict[str, Any], float]]  # attributes of a span, how many requests it stands for


@dataclass(frozen=True, slots=True)
class CpuRivals:
    """One kind of what used the CPUs, and the chief one of that kind."""

    kind: Situation
    name: str
    share: float  # of the wait, of all of this kind
    processes: tuple[int, ...]  # process ids of the chief one; () where it is no process, or they are unknown
    how: str = ""  # what sets the number of its native threads


def cpu_competition(group: Group) -> Iterator[CpuRivals | Pattern]:
    """Yield what used the CPUs that these requests waited for, the one to change first; nothing where it is unknown."""
    waits = group.of(Cause.CPU_WAIT)
    recorded = _recorded(group, dict(zip(waits["trace_id"], weights_of(waits), strict=True)))
    total_ns = float(waits["amount_ns"].sum())
    if not recorded or total_ns <= 0:
        return
    kinds, processes = _kinds_and_processes(recorded)
    own = group.culprits[group.culprits["cause"] == Cause.CPU_WAIT]
    by_kind: Counter[Situation] = Counter()  # ns
    chief: dict[Situation, str] = {}
    for name, ns in own.groupby("culprit")["ns"].sum().sort_values(ascending=False).items():
        if kind := kinds.get(str(name)):
            by_kind[kind] += int(ns)
            chief.setdefault(kind, str(name))
    first = _to_be_changed(by_kind)
    shares = {kind: ns / total_ns for kind, ns in by_kind.most_common()}
    if max(shares.values(), default=0.0) >= SAID_SHARE:
        for kind in sorted(shares, key=lambda kind: kind is not first):
            if kind is first or shares[kind] >= SAID_SHARE:
                how = look_up(NATIVE, chief[kind].lower()) if kind is Situation.CPU_NATIVE_THREADS else ""
                yield CpuRivals(kind, chief[kind], shares[kind], tuple(processes.get(chief[kind], ())), how)
    yield from _oversubscribed(recorded)


def _recorded(group: Group, weights: dict[Any, float]) -> _Recorded:
    spans = group.spans[group.spans["trace_id"].isin(list(weights))]
    return [
        (attributes, weights[trace_id])
        for trace_id, attributes in zip(spans["trace_id"], spans["attributes"], strict=True)
        if schema.CPU_UNKNOWN_NS in attributes
    ]


def _to_be_changed(by_kind: "Counter[Situation]") -> Situation:
    native = by_kind[Situation.CPU_NATIVE_THREADS]
    own = native + by_kind[Situation.CPU_OWN_THREADS]
    elsewhere = max(_ELSEWHERE, key=lambda kind: by_kind[kind])
    if own < by_kind[elsewhere]:
        return elsewhere
    return Situation.CPU_NATIVE_THREADS if native >= NATIVE_SHARE * own else Situation.CPU_OWN_THREADS


def _oversubscribed(recorded: _Recorded) -> Iterator[Pattern]:
    rows = [
        [stands_for * positive_ns(attributes.get(schema.RUN_QUEUE_NS)), min(quota_of(attributes) or count, count)]
        + [positive_ns(attributes.get(key)) / 1_000 for key in (schema.CPU_WANTED, schema.CPU_WANTED_NATIVE)]
        for attributes, stands_for in recorded
        if (count := positive_ns(attributes.get(schema.CPU_COUNT))) and schema.CPU_WANTED in attributes
    ]
    weight = sum(row[0] for row in rows)
    if weight:
        cpus, wanted, native = (sum(row[0] * row[at] for row in rows) / weight for at in (1, 2, 3))
        if wanted >= TOO_MANY * cpus and native >= NATIVE_SHARE * wanted:
            yield Pattern(Situation.OVERSUBSCRIBED, None, {"wanted": wanted, "native": native, "cpus": cpus})


def _kinds_and_processes(recorded: _Recorded) -> tuple[dict[str, Situation], dict[str, dict[int, None]]]:
    """Return the kind and the process ids of each culprit, by name."""
    kinds = {OTHER_PROCESSES: Situation.CPU_OTHER_PROCESSES, OTHER_THREADS: Situation.CPU_OWN_THREADS}
    processes: dict[str, dict[int, None]] = {}
    for attributes, _ in recorded:
        kinds[quota_name(attributes)] = Situation.CPU_QUOTA
        for kind, name, number in rows_of(attributes, _RIVALS):
            if kind in _KIND_OF:
                called = culprit_name(str(kind), str(name))
                kinds[called] = _KIND_OF[kind]
                if kind in PROCESSES and positive_ns(number):
                    processes.setdefault(called, {})[number] = None
    return kinds, processes
