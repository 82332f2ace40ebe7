"""What used the CPUs while a request waited for one: other processes, threads of its own process, or nothing
because a quota was used up."""

from itertools import zip_longest
from typing import Any, Final

from whywait.analysis.attribution.culprit_names import Named, named, positive_ns
from whywait.analysis.spans.span_table import SpanTable
from whywait.tracer import schema

NOT_TOLD: Final = "runnable, waiting for a CPU"
PROCESSES: Final = (schema.RIVAL_PROCESS, schema.RIVAL_SIBLING)
OTHER_PROCESSES: Final = "other processes"
OTHER_THREADS: Final = "other threads of this process"
_QUOTA_NAME: Final = "the CPU quota"
_WORDS: Final = {
    schema.CPU_PROCESS_NS: "waiting for a CPU: another process used it",
    schema.CPU_OWN_NS: "waiting for a CPU: other threads of this process used it",
    schema.CPU_THROTTLED_NS: "throttled: the CPU quota had run out",
    schema.CPU_UNKNOWN_NS: NOT_TOLD,
}
_ARRAYS: Final = tuple(one.key for one in schema.CPU_USERS)


def why_queued(attributes: dict[str, Any], where: str = "") -> str:
    """Return what most of a span's run-queue time was, in words, and what waited there (`where`: " in f (a.py:1)")."""
    amounts = {key: positive_ns(attributes.get(key)) for key in _WORDS}
    words = _WORDS[max(amounts, key=lambda key: amounts[key])] if any(amounts.values()) else NOT_TOLD
    what, colon, why = words.partition(":")
    return f"{what}{where}{colon}{why}"


def cpu_rivals(spans: SpanTable, number: int, row: int) -> list[Named]:
    """Return what used the CPUs, as culprits of the span's run-queue time; the unknown part is left out."""
    attributes = spans.attributes[row]
    found, known_ns = [], {True: 0, False: 0}  # whether of processes
    for kind, name, _, *at, ns in seen(attributes):
        found.append(named(number, ns, culprit_name(kind, name), *at))
        known_ns[kind in PROCESSES] += ns
    rest = (
        (OTHER_PROCESSES, positive_ns(attributes.get(schema.CPU_PROCESS_NS)) - known_ns[True]),
        (OTHER_THREADS, positive_ns(attributes.get(schema.CPU_OWN_NS)) - known_ns[False]),
        (quota_name(attributes), positive_ns(attributes.get(schema.CPU_THROTTLED_NS))),
    )
    return found + [named(number, ns, name) for name, ns in rest if ns > 0]


def seen(attributes: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return the rows of what used the CPUs: kind, name, number, file, line, trace, span, ns; any array may be shorter."""
    arrays = [value if isinstance(value := attributes.get(key), list) else [] for key in _ARRAYS]
    return [one for one in zip_longest(*arrays) if None not in one[:2] and positive_ns(one[-1])]


def culprit_name(kind: object, name: object) -> str:
    """Return a rival's name: "process stress", or what a thread did."""
    if kind == schema.RIVAL_SIBLING:
        return f"sibling process {name}"
    return f"process {name}" if kind == schema.RIVAL_PROCESS and "processes" not in str(name) else str(name)


def quota_name(attributes: dict[str, Any]) -> str:
    """Return a CPU quota's name as a culprit."""
    cpus = quota_of(attributes)
    return f"{_QUOTA_NAME} of {cpus:.3g} CPU{'' if cpus == 1 else 's'}" if cpus else _QUOTA_NAME


def quota_of(attributes: dict[str, Any]) -> float:
    """Return the CPU quota in CPUs; 0 without one."""
    return positive_ns(attributes.get(schema.CPU_QUOTA_NS)) / (positive_ns(attributes.get(schema.CPU_PERIOD_NS)) or 1)
