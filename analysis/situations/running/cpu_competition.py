"""Requests wait for a CPU: what used the CPUs, and whether native libraries run too many threads for them."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attribution.culprit_names import positive_ns, rows_of
from whywait.analysis.attribution.details import queued_in
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
    schema.RIVAL_QUOTA: Situation.CPU_QUOTA,
}
_ELSEWHERE: Final = (Situation.CPU_OTHER_PROCESSES, Situation.CPU_SIBLING_PROCESSES, Situation.CPU_QUOTA)
_Recorded = list[tuple[dict[str, Any], float]]  # attributes of a span, how many requests it stands for


def cpu_competition(group: Group) -> Iterator[Pattern]:
    """Yield what used the CPUs that these requests waited for, the one to change first; nothing where it is unknown."""
    waits = group.of(Cause.CPU_WAIT)
    if waits.empty:
        return
    weights = dict(zip(waits["trace_id"], weights_of(waits), strict=True))
    spans = group.own_spans[group.own_spans["trace_id"].isin(list(weights))]
    recorded = list(zip(spans["attributes"], map(weights.__getitem__, spans["trace_id"]), strict=True))
    users = _users(recorded)
    own = group.culprits_of(Cause.CPU_WAIT)
    by_kind: Counter[Situation] = Counter()  # ns
    chief: dict[Situation, str] = {}
    for name, ns in own.groupby("culprit")["ns"].sum().sort_values(ascending=False).items():
        kind, *_ = users.get(str(name), (None,))
        if kind:
            by_kind[kind] += int(ns)
            chief.setdefault(kind, str(name))
    total_ns = float(waits["amount_ns"].sum())
    where = pd.Series([queued_in(one) for one in group.attributes_of(waits)], index=waits.index)
    needed = waits["amount_ns"].groupby(where[where != ""]).sum()
    known = str(needed.idxmax()) if needed.sum() >= SAID_SHARE * total_ns else ""
    for kind in _to_be_told(by_kind, total_ns):
        name, share = chief[kind], by_kind[kind] / total_ns
        how = look_up(NATIVE, name.lower()) if kind is Situation.CPU_NATIVE_THREADS else ""  # what sets their number
        _, ids, many = users[name]
        found = {"name": name, "share": share, "processes": many, "process_id": next(iter(ids), 0), "how": how}
        found["waited"], known = known, ""  # told once
        yield Pattern(kind, None, found)
    yield from _oversubscribed(recorded)


def _to_be_told(by_kind: "Counter[Situation]", total_ns: float) -> list[Situation]:
    """The one to change first, then the others, the longest first; none where each is negligible."""
    large = [kind for kind, ns in by_kind.most_common() if ns >= SAID_SHARE * total_ns]
    native = by_kind[Situation.CPU_NATIVE_THREADS]
    own = native + by_kind[Situation.CPU_OWN_THREADS]
    first = max(_ELSEWHERE, key=lambda kind: by_kind[kind])
    if own >= by_kind[first]:
        first = Situation.CPU_NATIVE_THREADS if native >= NATIVE_SHARE * own else Situation.CPU_OWN_THREADS
    return [*([first] if large and by_kind[first] else []), *(kind for kind in large if kind is not first)]


def _oversubscribed(recorded: _Recorded) -> Iterator[Pattern]:
    rows = np.array([_threads(*one) for one in recorded if schema.CPU_WANTED in one[0]]).reshape(-1, 4)
    if weight := rows[:, 0].sum():
        cpus, wanted, native = (rows[:, 0] @ rows[:, 1:] / weight).tolist()
        if wanted >= TOO_MANY * cpus and native >= NATIVE_SHARE * wanted:
            yield Pattern(Situation.OVERSUBSCRIBED, None, {"wanted": wanted, "native": native, "cpus": cpus})


def _threads(attributes: dict[str, Any], stands_for: float) -> tuple[float, ...]:
    """A span's run-queue time by the requests that it stands for, its CPUs, runnable threads, and native ones of these."""
    count = positive_ns(attributes.get(schema.CPU_COUNT))
    wanted, native = (positive_ns(attributes.get(key)) / 1_000 for key in (schema.CPU_WANTED, schema.CPU_WANTED_NATIVE))
    quota = positive_ns(attributes.get(schema.CPU_QUOTA_NS)) / (positive_ns(attributes.get(schema.CPU_PERIOD_NS)) or 1)
    weight = stands_for * positive_ns(attributes.get(schema.RUN_QUEUE_NS)) * (count > 0)
    return weight, min(quota or count, count), wanted, native


def _users(recorded: _Recorded) -> dict[str, tuple[Situation, dict[int, None], int]]:
    """Return the kind of each culprit, by name, the process ids, and of how many processes it is the name."""
    found: dict[str, tuple[Situation, dict[int, None], int]] = {}
    rows = (row for attributes, _ in recorded for row in rows_of(attributes, schema.CPU_USERS))
    for kind, name, number, *_ in rows:
        if of := _KIND_OF.get(str(kind)):
            _, ids, many = found.get(str(name), (of, {}, 0))
            if positive_ns(number):
                ids[number] = None
            together = positive_ns(-number) if isinstance(number, int) else 0  # they were one rival of this span
            found[str(name)] = of, ids, max(many, len(ids), together)
    return found
