"""The traces as they came, line by line: copied unchanged, and asked for the host of each span."""

import json
from collections.abc import Iterator, Set
from pathlib import Path
from typing import IO, Any

from analysis.errors import InputError
from analysis.load.files import SUFFIXES
from analysis.load.otlp import NotOtlp, decode_attributes, rows_of
from tracer import schema

Key = tuple[str, str]


def copied(source: Path, stream: IO[str]) -> int:
    """Writes every line of the source's files that is OTLP JSON, unchanged; returns how many."""
    count = 0
    for line in _lines(source):
        if _payload(line) is not None:
            stream.write(line.decode("utf-8", "surrogateescape").rstrip("\r\n") + "\n")
            count += 1
    return count


def hosts_of(source: Path, wanted: Set[Key]) -> dict[Key, str]:
    """Return the host.name of these spans, by trace id and span id, where their resource says it."""
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
    files = sorted(one for one in source.iterdir() if one.suffix in SUFFIXES) if source.is_dir() else [source]
    for file in files:
        try:
            with file.open("rb") as lines:
                yield from lines
        except OSError as error:
            raise InputError(f"{file} cannot be read: {error.strerror or error}") from error


def _payload(line: bytes) -> dict[str, Any] | None:
    """The line's object if it holds traces that are not annotations of an earlier time; else None."""
    if not line.strip():
        return None
    try:
        payload = json.loads(line)
        rows_of(payload)
    except (NotOtlp, ValueError, RecursionError):
        return None  # what could not be read was told, or refused, when the traces were loaded
    scopes = {
        (scope_spans.get("scope") or {}).get("name")
        for resource_spans in payload["resourceSpans"]
        for scope_spans in resource_spans.get("scopeSpans") or ()
    }
    return None if scopes == {schema.ANNOTATION_SCOPE} else dict(payload)
