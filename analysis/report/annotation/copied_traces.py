"""Copies traces unchanged, line by line, and looks up the host of spans."""

import json
from collections.abc import Iterator, Set
from pathlib import Path
from typing import IO, Any, Final

from whywait.analysis.load.files import files_of, lines_of, objects_of
from whywait.analysis.load.otlp import NotOtlp, resource_of, rows_of, under
from whywait.analysis.load.parquet import is_parquet
from whywait.tracer import schema

Key = tuple[str, str]
Host = dict[str, str]
_HOST: Final = ("host.name", "ip")  # by the second Jaeger knows that spans share a clock


def copied(source: Path, stream: IO[str], traces: Set[str] | None = None) -> int:
    """Write the OTLP JSON lines of the source's files, unchanged or reduced to these traces; return their number."""
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
    for resource in payload["resourceSpans"]:
        scopes = [
            {**scope, "spans": spans}
            for scope in under(resource, "scopeSpans")
            if (spans := [one for one in under(scope, "spans") if _key(one)[0] in traces])
        ]
        resources += [{**resource, "scopeSpans": scopes}] if scopes else []
    return {**payload, "resourceSpans": resources} if resources else {}


def hosts_of(source: Path, wanted: set[Key]) -> dict[Key, Host]:
    """Return the host of these spans, by trace id and span id, where their resource says it."""
    found: dict[Key, Host] = {}
    for line in _lines(source):
        for resource, scope in _scopes(_payload(line) or {}):
            known = resource_of(resource)
            host = {name: known[name] for name in _HOST if isinstance(known.get(name), str)}
            if host:
                found |= dict.fromkeys(wanted.intersection(map(_key, under(scope, "spans"))), host)
    return found


def _scopes(payload: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each resource's object with each of its scopes'."""
    for resource in under(payload, "resourceSpans"):
        for scope in under(resource, "scopeSpans"):
            yield resource, scope


def _key(span: dict[str, Any]) -> Key:
    return str(span["traceId"]).lower(), str(span["spanId"]).lower()


def _lines(source: Path) -> Iterator[bytes]:
    for file in files_of(source):
        if is_parquet(file):
            continue  # it has no lines
        with lines_of(file) as lines:
            yield from objects_of(lines)


def _payload(line: bytes) -> dict[str, Any] | None:
    """The line's object if it contains traces other than earlier annotations; else None."""
    if not line.strip():
        return None
    try:
        payload = json.loads(line)
        rows_of(payload)
    except (NotOtlp, ValueError, RecursionError):
        return None  # what could not be read was told, or refused, when the traces were loaded
    scopes = {dict(under(scope, "scope")).get("name") for _, scope in _scopes(payload)}
    return None if scopes == {schema.ANNOTATION_SCOPE} else dict(payload)
