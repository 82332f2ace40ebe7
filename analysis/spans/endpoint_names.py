"""The name of each request's endpoint; names with raw ids in them are one endpoint."""

import re
from collections import defaultdict
from typing import Any, Final

from whywait.analysis.model import Finding
from whywait.analysis.spans.span_table import Ints, SpanTable, Texts, objects

_METHOD: Final = ("http.request.method", "http.method")
_MANY: Final = 10  # names that differ in their ids alone
_ID: Final = re.compile(  # a number, a hexadecimal text or UUID, a long text with a digit; and what follows "?"
    r"(?<![\w.{-])(?:\d+|(?=[a-f-]*\d)[0-9a-f][0-9a-f-]{7,}|(?=[\w-]*\d)[\w-]{16,})(?![\w.}-])|(?<=\?)\S+", re.I
)


def endpoints(spans: SpanTable, rows: Ints) -> tuple[Texts, list[Finding]]:
    """Return "METHOD route" where both are known, else the span's name, with {id} for the ids in many that are
    otherwise equal: a finding says so."""
    routes, methods = spans.texts(rows, "http.route"), first_of(spans, rows, _METHOD)
    names = [
        f"{method} {route}" if method and route else name
        for method, route, name in zip(methods, routes, spans.names[rows], strict=True)
    ]
    alike: dict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        if any(map(str.isdigit, name)) or "?" in name:
            alike[_ID.sub("{id}", name)].append(name)
    grouped = {name: pattern for pattern, same in alike.items() if len(same) >= _MANY for name in same}
    shown = sorted(set(grouped.values()))
    said = (
        f"endpoints had ids in their names and count as one each: {', '.join(shown[:3])}{', ...' * (len(shown) > 3)}. "
        "Set http.route on the span of the request to name them yourself"
    )
    findings = [Finding("grouped-endpoints", said, len(grouped))] if grouped else []
    return objects([grouped.get(name, name) for name in names]), findings


def first_of(spans: SpanTable, rows: Ints, keys: tuple[str, ...]) -> list[Any]:
    """Return the first of these attributes that each row has; None without one."""
    found = spans.values(rows, keys[0])
    for key in keys[1:]:
        found = [value if value is not None else other
                 for value, other in zip(found, spans.values(rows, key), strict=True)]  # fmt: skip
    return found
