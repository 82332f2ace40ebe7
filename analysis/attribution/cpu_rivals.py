"""What used the CPUs while a request waited for one: other processes, threads of its own process, or nothing
because a quota was used up."""

from collections import Counter
from typing import Any, Final

from whywait.analysis.attribution.culprit_names import Named, listed, positive_ns, rows_of
from whywait.analysis.spans.span_table import SpanTable
from whywait.tracer import schema

NOT_TOLD: Final = "runnable, waiting for a CPU"
_OTHERS: Final = "waiting for a CPU: another process used it"
_OWN: Final = "waiting for a CPU: other threads of this process used it"
_WORDS: Final = {
    schema.RIVAL_PROCESS: _OTHERS, schema.RIVAL_SIBLING: _OTHERS, schema.RIVAL_THREAD: _OWN, schema.RIVAL_NATIVE: _OWN,
    schema.RIVAL_QUOTA: "throttled: the CPU quota had run out",
}  # fmt: skip
_CULPRITS: Final = [one for one in schema.CPU_USERS if one.key not in (schema.RIVAL_KINDS, schema.RIVAL_NUMBERS)]


def why_queued(attributes: dict[str, Any], where: str = "") -> str:
    """Return what most of a span's run-queue time was, in words, and what waited there (`where`: " in f (a.py:1)")."""
    amounts = Counter({NOT_TOLD: positive_ns(attributes.get(schema.RUN_QUEUE_NS))})
    for kind, *_, ns in rows_of(attributes, schema.CPU_USERS):
        amounts[_WORDS.get(str(kind), NOT_TOLD)] += positive_ns(ns)
        amounts[NOT_TOLD] -= positive_ns(ns)
    what, colon, why = amounts.most_common(1)[0][0].partition(":")
    return f"{what}{where}{colon}{why}"


def cpu_rivals(spans: SpanTable, number: int, row: int) -> list[Named]:
    """Return what used the CPUs, as culprits of the span's run-queue time; the unknown part is left out."""
    return listed(spans.attributes[row], number, _CULPRITS)
