"""Decodes OTLP JSON into rows of `SPAN_COLUMNS`. Independent of files and HTTP."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from sys import intern
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attributes import Attributes
from whywait.analysis.model import SPAN_COLUMNS
from whywait.tracer import schema

SPAN_KINDS: Final[Mapping[Any, str]] = {
    1: "internal", 2: "server", 3: "client", 4: "producer", 5: "consumer",
    "SPAN_KIND_INTERNAL": "internal", "SPAN_KIND_SERVER": "server", "SPAN_KIND_CLIENT": "client",
    "SPAN_KIND_PRODUCER": "producer", "SPAN_KIND_CONSUMER": "consumer",
}  # fmt: skip
ERROR_CODES: Final = frozenset({2, "STATUS_CODE_ERROR"})
_SPACE: Final = re.compile(r"\s*")
Row = tuple[Any, ...]  # one span, in the order of SPAN_COLUMNS


class NotOtlp(ValueError):
    """JSON that is not OTLP trace data. The message names what is wrong, without its place."""


def parsed(text: bytes) -> Any:
    """Return the JSON in a text, with "?" for half of a surrogate pair. Raises ValueError when it is not JSON."""
    payload = json.loads(text)
    if b"\\ud" not in text and b"\\uD" not in text:
        return payload
    return json.loads(json.dumps(payload, ensure_ascii=False).encode("utf-8", "replace"))


def values_in(text: str) -> Iterator[tuple[Any, str]]:
    """Yield the JSON values that follow one another in a text, each with its own part of the text. Raises ValueError."""
    at = _SPACE.match(text).end()  # type: ignore[union-attr]
    while at < len(text):
        value, end = json.JSONDecoder().raw_decode(text, at)
        yield value, text[at:end]
        at = _SPACE.match(text, end).end()  # type: ignore[union-attr]


def decode_value(value: Mapping[str, Any]) -> Any:
    """Return the Python value of one OTLP AnyValue; None for an empty one."""
    for kind, content in value.items():
        return _DECODED[kind](content) if kind in _DECODED else content
    return None


def decode_attributes(attributes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the attributes as a dict; the keys are shared between spans."""
    decoded = {}
    for attribute in attributes:
        value = attribute.get("value") or {}
        # the common cases, kept out of a call: a million spans have ten million attributes
        if "stringValue" in value:
            decoded[intern(attribute["key"])] = value["stringValue"]
        elif "intValue" in value:
            decoded[intern(attribute["key"])] = int(value["intValue"])
        else:
            decoded[intern(attribute["key"])] = decode_value(value)
    return decoded


_DECODED: Final[Mapping[str, Callable[[Any], Any]]] = {
    "intValue": int,
    "doubleValue": float,
    "arrayValue": lambda content: [
        one["stringValue"] if "stringValue" in one else int(one["intValue"]) if "intValue" in one else decode_value(one)
        for one in content.get("values") or ()
    ],
    "kvlistValue": lambda content: decode_attributes(content.get("values") or ()),
}


def rows_of(payload: Any) -> list[Row]:
    """Return the spans of one OTLP `TracesData` object as rows of SPAN_COLUMNS. Raises NotOtlp for anything else."""
    if not isinstance(payload, dict) or not isinstance(payload.get("resourceSpans"), list):
        raise NotOtlp('no "resourceSpans"')
    with malformed("a malformed span"):
        return _rows(payload["resourceSpans"])


@contextmanager
def malformed(said: str) -> Iterator[None]:
    """Raise NotOtlp, with these words, where the block meets another shape than it expects."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise NotOtlp(f"{said} ({type(error).__name__}: {error})") from error


def _rows(resource_spans: list[Any]) -> list[Row]:
    rows: list[Row] = []
    for resource_span in resource_spans:
        resource = resource_of(resource_span)
        service, seen = name_of(resource, "service.name"), process_facts(resource)
        for scope_span in (*under(resource_span, "scopeSpans"), *under(resource_span, "instrumentationLibrarySpans")):
            scope = name_of(dict(under(scope_span, "scope")))
            rows += [_row(span, service, scope, seen) for span in under(scope_span, "spans")]
    return rows


def resource_of(resource_span: Mapping[str, Any]) -> dict[str, Any]:
    return decode_attributes((resource_span.get("resource") or {}).get("attributes") or ())


def process_facts(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a resource belongs to each of its spans: what the process saw."""
    return {key: resource[key] for key in resource if key.startswith(schema.PREFIX) or key in schema.PROCESS_KEYS}


def name_of(one: Mapping[str, Any], key: str = "name") -> str:
    """Return what stands under the key as a text; "" for nothing."""
    return str(one.get(key) or "")


def under(one: Mapping[str, Any], key: str) -> Any:
    """Return what stands under the key; () for nothing."""
    return one.get(key) or ()


def _row(span: Mapping[str, Any], service: str, scope: str, seen: Mapping[str, Any]) -> Row:
    links, attributes = under(span, "links"), decode_attributes(under(span, "attributes"))
    attributes.update(seen)
    return (
        intern(id_of(span["traceId"])), id_of(span["spanId"]), id_of(span.get("parentSpanId") or ""),
        intern(name_of(span)), service, scope, SPAN_KINDS.get(span.get("kind"), ""),
        time_of(span["startTimeUnixNano"]), time_of(span["endTimeUnixNano"]),
        (span.get("status") or {}).get("code") in ERROR_CODES, attributes,
        [(id_of(link["traceId"]), id_of(link["spanId"])) for link in links],
    )  # fmt: skip


def id_of(text: str) -> str:
    """Return an id in lower case; "" for one of zeros."""
    return "" if not text.strip("0") else text.lower()


def time_of(text: str | int) -> int:
    """Return nanoseconds since 1970. Raises ValueError for what is none, or is after 2116."""
    time_ns = int(text)
    if not 0 <= time_ns < 2**62:
        raise ValueError(f"time {str(time_ns)[:40]} is not nanoseconds since 1970")
    return time_ns


def frame_of(rows: list[Row]) -> pd.DataFrame:
    """Return the rows as a new frame, in order."""
    return in_order(columns_of(rows))


def columns_of(rows: list[Row]) -> pd.DataFrame:
    """Return the rows as a new frame."""
    *plain, attributes, links = zip(*rows, strict=True) if rows else [() for _ in SPAN_COLUMNS]
    return spans_of([*map(list, plain), Attributes.of(attributes), list(links)])


def spans_of(columns: Sequence[Any]) -> pd.DataFrame:
    """Return the columns, in the order of SPAN_COLUMNS, as a new frame."""
    dtypes: dict[str, Any] = {"start_ns": "int64", "end_ns": "int64", "error": "bool", "attributes": Attributes.dtype}
    named = zip(SPAN_COLUMNS, columns, strict=True)
    return pd.DataFrame({name: pd.Series(values, dtype=dtypes.get(name, object)) for name, values in named})


def in_order(spans: pd.DataFrame) -> pd.DataFrame:
    """Return the spans sorted by time, longest first, then by id: an order that does not depend on their source."""
    spans = spans.reset_index(drop=True)
    start, end = (spans[name].to_numpy(dtype=np.int64) for name in ("start_ns", "end_ns"))
    order = np.lexsort((-end, start))
    same = (start[order[1:]] == start[order[:-1]]) & (end[order[1:]] == end[order[:-1]])
    alike = np.append(same, False) | np.append(False, same)
    if alike.any():  # texts are compared only where times do not decide
        among = order[alike]
        ids = spans[["trace_id", "span_id"]].take(among)
        ids = ids.assign(start_ns=start[among], end_ns=-end[among]).reset_index(drop=True)
        order[alike] = among[ids.sort_values(["start_ns", "end_ns", "trace_id", "span_id"], kind="stable").index]
    return spans.take(order).reset_index(drop=True)
