"""The name of each request's endpoint; names with raw ids in them are one endpoint."""

import re
from collections import Counter
from typing import Any, Final

import numpy as np

from whywait.analysis.attributes import objects
from whywait.analysis.model import Finding
from whywait.analysis.spans.span_table import Ints, SpanTable, Texts
from whywait.tracer import schema

_METHOD: Final = ("http.request.method", "http.method")
NO_ROUTE: Final = "(no route)"  # as OpenTelemetry names it: by its method alone
_MANY: Final = 10  # names that differ in their ids alone
_ID: Final = re.compile(  # a number, a hexadecimal text or UUID, a long text with a digit; and what follows "?"
    r"(?<![\w.{-])(?:\d+|(?=[a-f-]*\d)[0-9a-f][0-9a-f-]{7,}|(?=[\w-]*\d)[\w-]{16,})(?![\w.}-])|(?<=\?)\S+", re.I
)


def endpoints(spans: SpanTable, rows: Ints) -> tuple[Texts, list[Finding]]:
    """Return "METHOD route" where both are known, or that there was none, else the span's name, with {id} for the ids in
    many that are otherwise equal: a finding says so."""
    routes, methods = spans.texts(rows, "http.route"), first_of(spans, rows, _METHOD)
    # of a request that never ended the span of others may be missing, which is above its task
    alone = np.where(spans.kinds[rows] == schema.KIND_TASK, schema.TASK_SPAN_PREFIX, "")
    names = [
        f"{method} {route or NO_ROUTE}" if method and (route or name == method) else name.removeprefix(prefix)
        for method, route, name, prefix in zip(methods, routes, spans.names[rows], alone, strict=True)
    ]
    patterns = {name: _ID.sub("{id}", name) for name in dict.fromkeys(names)}
    alike = Counter(patterns.values())
    grouped = {name: pattern for name, pattern in patterns.items() if alike[pattern] >= _MANY}
    shown = sorted(set(grouped.values()))
    said = (
        f"endpoints had ids in their names and count as one each: {', '.join(shown[:3])}{', ...' * (len(shown) > 3)}. "
        "Set http.route on the span of the request to name them yourself"
    )
    findings = [Finding("grouped-endpoints", said, len(grouped))] * bool(grouped)
    return objects([grouped.get(name, name) for name in names]), findings


def first_of(spans: SpanTable, rows: Ints, keys: tuple[str, ...]) -> list[Any]:
    """Return the first of these attributes that each row has; None without one."""
    every = zip(*(spans.values(rows, key) for key in keys), strict=True)
    return [next((value for value in values if value is not None), None) for values in every]
