"""Whole inputs of every form that is read: a few requests of the notebook's recording, as each tool would write them."""

import functools
import gzip
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from testbed.fuzz.breaking import broken, broken_bytes

RECORDING: Final = Path(__file__).parents[2] / "notebooks" / "recording"
MOST_SPANS: Final = 60
_KINDS: Final = ("", "internal", "server", "client", "producer", "consumer")
Input = tuple[str, bytes]  # the end of the file's name, and its content


@functools.cache
def traces() -> tuple[str, ...]:
    """Return recorded traces of few spans as texts of ResourceSpans, twenty for each file of the recording."""
    found = []
    for file in sorted(RECORDING.glob("*.jsonl.gz")):
        by_trace: dict[str, list[Any]] = {}
        resource: Any = None
        for line in gzip.decompress(file.read_bytes()).splitlines():
            for one in json.loads(line)["resourceSpans"]:
                resource = one["resource"]
                for scope in one["scopeSpans"]:
                    for span in scope["spans"]:
                        by_trace.setdefault(span["traceId"], []).append((scope.get("scope"), span))
        small = sorted(by_trace.values(), key=len)
        for spans in [one for one in small if len(one) <= MOST_SPANS][-20:]:
            scopes = [{"scope": scope, "spans": [span]} for scope, span in spans]
            found.append(json.dumps({"resource": resource, "scopeSpans": scopes}))
    return tuple(found)


def _spans(chosen: list[Any]) -> list[dict[str, Any]]:
    return [span for one in chosen for scope in one["scopeSpans"] for span in scope["spans"]]


def _tags(span: dict[str, Any]) -> dict[str, Any]:
    tags = {"span.kind": _KINDS[int(span.get("kind", 0))]}
    for one in span.get("attributes", ()):
        tags[one["key"]] = next(iter(one["value"].values()), None)
    return tags


def otlp(chosen: list[Any]) -> Any:
    return {"resourceSpans": chosen}


def jaeger_v3(chosen: list[Any]) -> Any:
    return {"result": otlp(chosen)}


def jaeger(chosen: list[Any]) -> Any:
    """Return what Jaeger's page downloads, and its older API answers."""
    found: dict[str, list[Any]] = {}
    for span in _spans(chosen):
        start, end = int(span["startTimeUnixNano"]) // 1000, int(span["endTimeUnixNano"]) // 1000
        references = [{"refType": "CHILD_OF", "traceID": span["traceId"], "spanID": span.get("parentSpanId", "")}]
        found.setdefault(span["traceId"], []).append({
            "traceID": span["traceId"], "spanID": span["spanId"], "operationName": span["name"], "processID": "p1",
            "references": references if span.get("parentSpanId") else [], "startTime": start, "duration": end - start,
            "tags": [{"key": key, "type": "string", "value": value} for key, value in _tags(span).items()],
        })  # fmt: skip
    processes = {"p1": {"serviceName": "shop", "tags": []}}
    return {"data": [{"traceID": key, "spans": spans, "processes": processes} for key, spans in found.items()]}


def zipkin(chosen: list[Any]) -> Any:
    return [
        {
            "traceId": span["traceId"], "id": span["spanId"], "parentId": span.get("parentSpanId", ""),
            "name": span["name"], "kind": _tags(span)["span.kind"].upper(), "localEndpoint": {"serviceName": "shop"},
            "timestamp": int(span["startTimeUnixNano"]) // 1000,
            "duration": (int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"])) // 1000,
            "tags": {key: str(value) for key, value in _tags(span).items()},
        }
        for span in _spans(chosen)
    ]  # fmt: skip


def chrome(chosen: list[Any]) -> Any:
    return {"traceEvents": [{"name": span["name"], "ph": "X", "ts": 1, "dur": 2} for span in _spans(chosen)]}


FORMS: Final[tuple[Callable[[list[Any]], Any], ...]] = (otlp, otlp, otlp, otlp, otlp, jaeger_v3, jaeger, zipkin, chrome)


def made(dice: random.Random) -> Input:
    """Return the end of a file's name and its content, broken somewhere."""
    chosen = [json.loads(one) for one in dice.sample(traces(), dice.choice((1, 1, 2, 3)))]
    value = dice.choice(FORMS)(chosen)
    if dice.random() < 0.9:
        value = broken(value, dice)
    data = json.dumps(value, indent=dice.choice((None, None, 1))).encode() + b"\n"
    if dice.random() < 0.1:
        data += json.dumps(otlp([json.loads(dice.choice(traces()))])).encode() + b"\n"
    if dice.random() < 0.1:
        data = broken_bytes(data, dice)
    if dice.random() < 0.1:
        data = gzip.compress(data, 1)
        return ".jsonl.gz", broken_bytes(data, dice) if dice.random() < 0.3 else data
    return ".jsonl", data


_LINES: Final = (
    'INFO:     127.0.0.1:52814 - "GET /rank HTTP/1.1" 200 OK',
    "2025-05-14 09:02:20,826 INFO app: request_id=7 event=start took 0.66ms",
    "requestID: 7, TS_BEFORE_X: 1747213340.826, delta: 0.1ms, total: 3 s",
    '{"timestamp": "2025-05-14T09:02:20.826Z", "request_id": "7", "event": "end", "elapsed": 0.66}',
    '127.0.0.1 - - [14/May/2025:09:02:20 +0000] "GET /rank HTTP/1.1" 200 12 "-" "curl" 0.012',
    "INFO:app:request_id=7 done in 0.3",
)


def made_log(dice: random.Random) -> bytes:
    """Return a log of known formats, broken somewhere."""
    lines = [dice.choice(_LINES).replace("7", str(dice.randrange(9)), 1) for _ in range(dice.randrange(1, 30))]
    data = "\n".join(lines).encode()
    return broken_bytes(data, dice) if dice.random() < 0.9 else data
