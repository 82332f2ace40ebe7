"""What used the CPUs while a request waited for one: other processes, threads of its own process, or nothing
because a quota was used up."""

from itertools import zip_longest
from typing import Any, Final

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
_ARRAYS: Final = (
    schema.RIVAL_KINDS, schema.RIVAL_NAMES, schema.RIVAL_NS, schema.RIVAL_FILES, schema.RIVAL_LINES,
    schema.RIVAL_TRACE_IDS, schema.RIVAL_SPAN_IDS,
)  # fmt: skip
# number of the span, name, file, line, trace id, span id, and the culprit's part of the wait span in ns
Named = tuple[int, str, str, int | None, str, str, int]


def why_queued(attributes: dict[str, Any]) -> str:
    """Return what most of a span's run-queue time was, in words."""
    amounts = {key: positive_ns(attributes.get(key)) for key in _WORDS}
    return _WORDS[max(amounts, key=lambda key: amounts[key])] if any(amounts.values()) else NOT_TOLD


def cpu_rivals(spans: SpanTable, number: int, row: int) -> list[Named]:
    """Return what used the CPUs, as culprits of the span's run-queue time; the unknown part is left out."""
    attributes = spans.attributes[row]
    seen = _seen(attributes)
    found = [named(number, ns, culprit_name(str(kind), str(name)), *at) for kind, name, ns, *at in seen]
    of_processes = sum(one[2] for one in seen if one[0] in PROCESSES)
    rest = (
        (OTHER_PROCESSES, positive_ns(attributes.get(schema.CPU_PROCESS_NS)) - of_processes),
        (OTHER_THREADS, positive_ns(attributes.get(schema.CPU_OWN_NS)) - sum(one[2] for one in seen) + of_processes),
        (quota_name(attributes), positive_ns(attributes.get(schema.CPU_THROTTLED_NS))),
    )
    return found + [named(number, ns, name) for name, ns in rest if ns > 0]


def _seen(attributes: dict[str, Any]) -> list[tuple[Any, ...]]:
    arrays = [value if isinstance(value := attributes.get(key), list) else [] for key in _ARRAYS]
    rows = list(zip_longest(*arrays))[: min(map(len, arrays[:3]))]  # of the others any may be shorter
    return [one for one in rows if positive_ns(one[2])]


def named(
    number: int, ns: int, name: object, file: object = "", line: Any = None, trace_id: object = "", span_id: object = ""
) -> Named:
    """Return a culprit as it may stand in a trace: what is missing, or is none, is empty."""
    at = line if positive_ns(line) else None
    return number, str(name), str(file or ""), at, str(trace_id or ""), str(span_id or ""), ns


def culprit_name(kind: str, name: str) -> str:
    """Return a rival's name: "process stress", or what a thread did."""
    if kind == schema.RIVAL_SIBLING:
        return f"sibling process {name}"
    return f"process {name}" if kind == schema.RIVAL_PROCESS and "processes" not in name else name


def quota_name(attributes: dict[str, Any]) -> str:
    """Return a CPU quota's name as a culprit."""
    cpus = quota_of(attributes)
    return f"{_QUOTA_NAME} of {cpus:.3g} CPU{'' if cpus == 1 else 's'}" if cpus else _QUOTA_NAME


def quota_of(attributes: dict[str, Any]) -> float:
    """Return the CPU quota in CPUs; 0 without one."""
    return positive_ns(attributes.get(schema.CPU_QUOTA_NS)) / (positive_ns(attributes.get(schema.CPU_PERIOD_NS)) or 1)


def rows_of(attributes: dict[str, Any], keys: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """Return the rows of parallel arrays; none where one of them is missing."""
    arrays = [attributes.get(key) for key in keys]
    return list(zip(*arrays, strict=False)) if all(isinstance(array, list) for array in arrays) else []


def positive_ns(value: Any) -> int:
    """Return an attribute's number; 0 where it is no number or out of range."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53 else 0
