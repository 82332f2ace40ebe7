"""Who had the CPUs while a request waited for one: other processes, threads of its own process, or nobody,
for a quota had run out."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any, Final

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.measure.weights import weights_of
from whywait.analysis.spans.span_table import SpanTable
from whywait.tracer import schema

NOT_TOLD: Final = "runnable, waiting for a CPU"
QUOTA: Final = "quota"
_PROCESSES: Final = (schema.RIVAL_PROCESS, schema.RIVAL_SIBLING)
_OTHER_PROCESSES: Final = "other processes"
_OTHER_THREADS: Final = "other threads of this process"
_QUOTA_NAME: Final = "the CPU quota"
_WORDS: Final = {
    schema.CPU_PROCESS_NS: "waiting for a CPU: another process had it",
    schema.CPU_OWN_NS: "waiting for a CPU: other threads of this process had it",
    schema.CPU_THROTTLED_NS: "throttled: the CPU quota had run out",
    schema.CPU_UNKNOWN_NS: NOT_TOLD,
}
_REMEDIES: Final = {
    schema.RIVAL_PROCESS: "Move {name} off these CPUs or give it a lower priority, or give this service CPUs of its own.",
    schema.RIVAL_SIBLING: "Run fewer worker processes, or fewer threads in each: together they want more CPUs than "
    "there are.",
    schema.RIVAL_THREAD: "Run fewer threads at once: a smaller pool, or fewer and larger jobs; more do not help "
    "once every CPU is busy.",
    schema.RIVAL_NATIVE: "Limit the threads of native libraries: OMP_NUM_THREADS=1, nthread or n_jobs of the model, "
    "or threadpoolctl, so that workers × native threads do not exceed the CPUs.",
    QUOTA: "Raise the CPU quota, or run fewer threads and workers at once, so that the quota lasts its period.",
}
_ARRAYS: Final = (
    schema.RIVAL_KINDS, schema.RIVAL_NAMES, schema.RIVAL_NS, schema.RIVAL_FILES, schema.RIVAL_LINES,
    schema.RIVAL_TRACE_IDS, schema.RIVAL_SPAN_IDS,
)  # fmt: skip
SAID_SHARE: Final = 0.1  # of the wait, from which one of them is named in a sentence
TOO_MANY: Final = 1.5  # threads for each CPU, from which they are too many
# of the threads, from which their number is the native ones' fault: the thread that calls into a pool of two is
# itself one of the two
NATIVE_SHARE: Final = 0.3

Named = tuple[int, str, str, int | None, str, str, int]


@dataclass(frozen=True, slots=True)
class Competition:
    """Who had the CPUs that the requests of one endpoint waited for."""

    words: str  # for a sentence, "" where nothing is known
    remedy: str
    situation: str  # too many threads for the CPUs; "" where they were not


def why_queued(attributes: dict[str, Any]) -> str:
    """Return what most of a span's run-queue time was, in words."""
    amounts = {key: _ns(attributes.get(key)) for key in _WORDS}
    return _WORDS[max(amounts, key=lambda key: amounts[key])] if any(amounts.values()) else NOT_TOLD


def cpu_rivals(spans: SpanTable, number: int, row: int) -> list[Named]:
    """Return who had the CPUs, as culprits of the span's run-queue time; what is not known is left out."""
    attributes = spans.attributes[row]
    found: list[Named] = []
    left = {key: _ns(attributes.get(key)) for key in (schema.CPU_PROCESS_NS, schema.CPU_OWN_NS)}
    for kind, name, file, line, trace_id, span_id, ns in _listed(attributes):
        found.append((number, culprit_name(kind, name), file, line, trace_id, span_id, ns))
        left[schema.CPU_PROCESS_NS if kind in _PROCESSES else schema.CPU_OWN_NS] -= ns
    throttled_ns = _ns(attributes.get(schema.CPU_THROTTLED_NS))
    rest = (
        (_OTHER_PROCESSES, left[schema.CPU_PROCESS_NS]), (_OTHER_THREADS, left[schema.CPU_OWN_NS]),
        (_quota_name(attributes), throttled_ns),
    )  # fmt: skip
    return found + [(number, name, "", None, "", "", ns) for name, ns in rest if ns > 0]


def culprit_name(kind: str, name: str) -> str:
    """Return what a rival is called: "process stress", or what a thread did."""
    if kind == schema.RIVAL_SIBLING:
        return f"process {name} beside this one"
    return f"process {name}" if kind == schema.RIVAL_PROCESS and " " not in name else name


def cpu_competition(causes: pd.DataFrame, culprits: pd.DataFrame, spans: pd.DataFrame) -> Competition | None:
    """Return who had the CPUs that these requests waited for; None where nobody recorded it.

    The amounts of `causes` and `culprits` are already weighted.
    """
    waits = causes[causes["cause"] == Cause.CPU_WAIT]
    total_ns = float(waits["amount_ns"].sum())
    weight_of = dict(zip(waits["trace_id"], weights_of(waits), strict=True))
    told = [
        (attributes, weight_of[trace_id])
        for trace_id, attributes in zip(spans["trace_id"], spans["attributes"], strict=True)
        if schema.CPU_UNKNOWN_NS in attributes and trace_id in weight_of
    ]
    if not told or total_ns <= 0:
        return None
    kinds, numbers = _kinds_and_numbers(told)
    own = culprits[culprits["cause"] == Cause.CPU_WAIT]
    by_name = own.groupby("culprit")["ns"].sum().sort_values(ascending=False)
    by_kind: Counter[str] = Counter()  # ns
    chief: dict[str, str] = {}
    for name, ns in by_name.items():
        kind = QUOTA if str(name).startswith(_QUOTA_NAME) else kinds.get(str(name), "")
        if kind:
            by_kind[kind] += int(ns)
            chief.setdefault(kind, str(name))
    said = []
    for kind, ns in by_kind.most_common():
        share = ns / total_ns
        if share >= SAID_SHARE:
            said.append(_said(kind, chief[kind], numbers.get(chief[kind], Counter()), share))
    if not said:
        return Competition("", "", _too_many(told))
    first = _to_be_changed(by_kind)
    return Competition("; ".join(said), _REMEDIES[first].format(name=chief[first]), _too_many(told))


def _to_be_changed(by_kind: "Counter[str]") -> str:
    native, own = by_kind[schema.RIVAL_NATIVE], by_kind[schema.RIVAL_NATIVE] + by_kind[schema.RIVAL_THREAD]
    elsewhere = max((*_PROCESSES, QUOTA), key=lambda kind: by_kind[kind])
    if own < by_kind[elsewhere]:
        return elsewhere
    return schema.RIVAL_NATIVE if native >= NATIVE_SHARE * own else schema.RIVAL_THREAD


def _said(kind: str, name: str, numbers: "Counter[int]", share: float) -> str:
    if kind == QUOTA:
        return f"for {share:.0%} of it {name} had run out"
    if kind in _PROCESSES:
        several = f" ({len(numbers)} of that name)" if len(numbers) > 1 else ""
        one = f" (process id {next(iter(numbers))})" if len(numbers) == 1 and 0 not in numbers else several
        who = "other processes" if kind == schema.RIVAL_PROCESS else "processes of its own service"
        return f"for {share:.0%} of it {who} had the CPUs, chiefly {name}{one}"
    who = "native threads of its own" if kind == schema.RIVAL_NATIVE else "other threads of its own"
    return f"for {share:.0%} of it {who} had the CPUs, chiefly {name}"


def _too_many(told: list[tuple[dict[str, Any], float]]) -> str:
    """Say how many threads wanted how many CPUs, where that were too many and most of them native."""
    weight = wanted = native = cpus = 0.0
    for attributes, stands_for in told:
        ns, count = (
            stands_for * _ns(attributes.get(schema.RUN_QUEUE_NS)),
            _ns(attributes.get(schema.CPU_COUNT)),
        )
        if not count or schema.CPU_WANTED not in attributes:
            continue
        period_ns = _ns(attributes.get(schema.CPU_PERIOD_NS))
        quota = _ns(attributes.get(schema.CPU_QUOTA_NS)) / period_ns if period_ns else float(count)
        weight += ns
        cpus += ns * min(quota, count)
        wanted += ns * _ns(attributes.get(schema.CPU_WANTED)) / 1_000
        native += ns * _ns(attributes.get(schema.CPU_WANTED_NATIVE)) / 1_000
    if not weight or wanted < TOO_MANY * cpus or native < NATIVE_SHARE * wanted:
        return ""
    return (
        f"Oversubscribed native threads: while requests waited for a CPU, {wanted / weight:.1f} threads of this process "
        f"wanted one at once, on average, {native / weight:.1f} of them in native libraries, and it may use "
        f"{cpus / weight:.2g}."
    )


def _kinds_and_numbers(
    told: list[tuple[dict[str, Any], float]],
) -> "tuple[dict[str, str], dict[str, Counter[int]]]":
    kinds = {_OTHER_PROCESSES: schema.RIVAL_PROCESS, _OTHER_THREADS: schema.RIVAL_THREAD}
    numbers: dict[str, Counter[int]] = {}
    for attributes, _ in told:
        listed = [attributes.get(key) for key in (
            schema.RIVAL_KINDS, schema.RIVAL_NAMES, schema.RIVAL_NUMBERS, schema.RIVAL_NS,
        )]  # fmt: skip
        if all(isinstance(one, list) for one in listed):
            for kind, name, number, ns in zip(*listed, strict=False):
                called = culprit_name(str(kind), str(name))
                kinds[called] = str(kind)
                if kind in _PROCESSES and isinstance(number, int):
                    numbers.setdefault(called, Counter())[number] += _ns(ns)
    return kinds, numbers


def _listed(attributes: dict[str, Any]) -> list[tuple[str, str, str, int | None, str, str, int]]:
    kinds, names, amounts, files, lines, trace_ids, span_ids = (
        value if isinstance(value := attributes.get(key), list) else [] for key in _ARRAYS
    )
    return [
        (str(kind), str(name), str(file or ""), line if isinstance(line, int) and line > 0 else None,
         str(trace_id or ""), str(span_id or ""), _ns(ns))
        for (kind, name, ns), file, line, trace_id, span_id in zip(
            zip(kinds, names, amounts, strict=False), *map(_endless, (files, lines, trace_ids, span_ids)), strict=False
        )
        if _ns(ns) > 0
    ]  # fmt: skip


def _endless(values: list[Any]) -> Iterator[Any]:
    return chain(values, repeat(None))


def _quota_name(attributes: dict[str, Any]) -> str:
    period_ns = _ns(attributes.get(schema.CPU_PERIOD_NS))
    if not period_ns:
        return _QUOTA_NAME
    cpus = _ns(attributes.get(schema.CPU_QUOTA_NS)) / period_ns
    return f"{_QUOTA_NAME} of {cpus:.3g} CPU{'' if cpus == 1 else 's'}"


def _ns(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0
