"""Traces in process: start, do something, stop, and look at the spans."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import whywait
from whywait.tracer.config import Config
from whywait.tracer.hotpath import recorder


@dataclass
class Span:
    """One span of the file."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    kind: int
    scope: str
    error: bool
    attributes: dict[str, Any] = field(default_factory=dict)
    process_id: int = 0  # as its resource says

    @property
    def ms(self) -> float:
        return (self.end_ns - self.start_ns) / 1e6

    def __getitem__(self, key: str) -> Any:
        return self.attributes.get(f"whywait.{key}")


class Traced:
    """The spans of a session, once it is stopped."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.spans: list[Span] = []

    def sampled(self) -> "Traced":
        """Returns this once the sampler's process is up, which takes longer on a machine that has just started."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            sampler = recorder.active.sampler if recorder.active is not None else None
            if sampler is not None and sampler.header().sweeps > 2:
                return self
            time.sleep(0.01)
        pytest.skip("no sampler on this machine")

    def stop(self) -> None:
        whywait.stop()
        self.spans = [span for path in sorted(self.output.glob("*.jsonl")) for span in read(path)]

    def named(self, name: str) -> list[Span]:
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_ns)

    def one(self, name: str) -> Span:
        found = self.named(name)
        assert len(found) == 1, f"{len(found)} spans named {name!r} among {sorted({s.name for s in self.spans})}"
        return found[0]

    def of_kind(self, kind: str) -> list[Span]:
        return sorted((span for span in self.spans if span["kind"] == kind), key=lambda span: span.start_ns)


def read(path: Path) -> list[Span]:
    spans = []
    for line in path.read_text().splitlines():
        spans += spans_of(json.loads(line))
    return spans


def spans_of(message: dict[str, Any]) -> list[Span]:
    """The spans of one OTLP message."""
    spans = []
    for resource in message["resourceSpans"]:
        said = {one["key"]: _value(one["value"]) for one in resource["resource"]["attributes"]}
        for scope in resource["scopeSpans"]:
            spans += [_span(one, scope.get("scope", {}).get("name", "")) for one in scope["spans"]]
            for span in spans[-len(scope["spans"]) :]:
                span.process_id = said.get("process.pid", 0)
    return spans


def _span(one: dict[str, Any], scope: str) -> Span:
    return Span(
        one["name"], one["traceId"], one["spanId"], one.get("parentSpanId", ""), int(one["startTimeUnixNano"]),
        int(one["endTimeUnixNano"]), one.get("kind", 0), scope, one.get("status", {}).get("code") == 2,
        {item["key"]: _value(item["value"]) for item in one.get("attributes", [])},
    )  # fmt: skip


def _value(value: dict[str, Any]) -> Any:
    ((kind, content),) = value.items()
    if kind == "intValue":
        return int(content)
    if kind == "arrayValue":
        return [_value(item) for item in content.get("values", [])]
    return content


@pytest.fixture
def traced_to(tmp_path: Path) -> Iterator[Callable[..., Traced]]:
    """`traced_to(**config)` starts a session; its `stop()` reads the spans back."""

    def begin(**settings: Any) -> Traced:
        whywait.start("test", config=Config(output=tmp_path / "traces", **settings))
        return Traced(tmp_path / "traces")

    yield begin
    whywait.stop()
