"""Copies traces unchanged, line by line, and looks up the host of spans."""

import json
from collections.abc import Iterator, Set
from pathlib import Path
from typing import IO, Any

from whywait.analysis.load.files import files_of, lines_of
from whywait.analysis.load.otlp import NotOtlp, decode_attributes, rows_of
from whywait.tracer import schema

Key = tuple[str, str]


def copied(source: Path, stream: IO[str], traces: Set[str] | None = None) -> int:
    """Write every OTLP JSON line of the source's files, and return their number.

    The lines are unchanged, or reduced to the spans of these traces.
    """
    count = 0
    for line in _lines(source):
        payload = _payload(line)
        if payload is None:
            continue
        if traces is None:
            text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        elif payload := _only(payload, traces):
            text = json.dumps(payload, separators=(",", ":"))
        else:
            continue
        stream.write(text + "\n")
        count += 1
    return count


def _only(payload: dict[str, Any], traces: Set[str]) -> dict[str, Any]:
    """The object with the spans of these traces only; {} without any."""
    resources = []
    for resource_spans in payload["resourceSpans"]:
        scopes = []
        for scope_spans in resource_spans.get("scopeSpans") or ():
            spans = [
                span for span in scope_spans.get("spans") or () if str(span["traceId"]).lower() in traces
            ]
            if spans:
                scopes.append({**scope_spans, "spans": spans})
        if scopes:
            resources.append({**resource_spans, "scopeSpans": scopes})
    return {**payload, "resourceSpans": resources} if resources else {}


def hosts_of(source: Path, wanted: Set[Key]) -> dict[Key, str]:
    """Return the host.name of these spans, by trace id and span id, where their resource has it."""
    found: dict[Key, str] = {}
    for line in _lines(source):
        payload = _payload(line)
        for resource_spans in (payload or {}).get("resourceSpans") or ():
            resource = decode_attributes((resource_spans.get("resource") or {}).get("attributes") or ())
            host = resource.get("host.name")
            if not isinstance(host, str):
                continue
            for scope_spans in resource_spans.get("scopeSpans") or ():
                for span in scope_spans.get("spans") or ():
                    key = (str(span["traceId"]).lower(), str(span["spanId"]).lower())
                    if key in wanted:
                        found[key] = host
    return found


def _lines(source: Path) -> Iterator[bytes]:
    for file in files_of(source):
        with lines_of(file) as lines:
            yield from lines


def _payload(line: bytes) -> dict[str, Any] | None:
    """The line's object if it contains traces other than earlier annotations; else None."""
    if not line.strip():
        return None
    try:
        payload = json.loads(line)
        rows_of(payload)
    except (NotOtlp, ValueError, RecursionError):
        return None  # unreadable lines were reported, or refused, when the traces were loaded
    scopes = {
        (scope_spans.get("scope") or {}).get("name")
        for resource_spans in payload["resourceSpans"]
        for scope_spans in resource_spans.get("scopeSpans") or ()
    }
    return None if scopes == {schema.ANNOTATION_SCOPE} else dict(payload)
