"""A line says what the SDK's own encoder would have said of the same spans."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from tracer import span_lines
from tracer.span_lines import line_of

RESOURCES = (Resource({"service.name": "a"}), Resource({"process.pid": 1}, "https://schema"), Resource({}))
SCOPES = (
    InstrumentationScope("whywait", "1"),
    InstrumentationScope("their", None, "https://schema", {"k": 1}),
    None,
)
texts = st.text(st.characters(exclude_categories=[]), max_size=8)  # lone surrogates too
ids = st.integers(1, 2**64 - 1)
single = st.one_of(texts, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=4))
values = st.one_of(
    single, st.lists(single, max_size=3), st.tuples(texts, texts), st.none(), st.dictionaries(texts, single)
)
attributes = st.dictionaries(texts, values, max_size=4)
states = st.sampled_from([None, TraceState(), TraceState([("vendor", "1")])])
contexts = st.builds(
    SpanContext, st.integers(1, 2**128 - 1), ids, st.booleans(), st.just(TraceFlags(1)), states
)
statuses = st.sampled_from(
    [Status(), Status(StatusCode.OK), Status(StatusCode.ERROR), Status(StatusCode.ERROR, "no")]
)
spans = st.builds(
    ReadableSpan,
    name=texts,
    context=contexts,
    parent=st.none() | contexts,
    resource=st.sampled_from(RESOURCES),
    attributes=attributes,
    events=st.lists(st.builds(Event, texts, attributes, ids), max_size=1),
    links=st.lists(st.builds(Link, contexts, attributes), max_size=2),
    kind=st.sampled_from(list(SpanKind)),
    status=statuses,
    start_time=st.integers(0, 2**63),
    end_time=st.integers(0, 2**63),
    instrumentation_scope=st.sampled_from(SCOPES),
)


def told(message: dict[str, Any]) -> list[Any]:
    """What a message says, whatever the order in which it names resources and scopes."""
    return sorted(
        json.dumps([resource.get("resource"), resource.get("schemaUrl"), scope.get("scope"), scope.get("schemaUrl"), span], sort_keys=True)
        for resource in message.get("resourceSpans", [])
        for scope in resource["scopeSpans"]
        for span in scope["spans"]
    )  # fmt: skip


@given(st.lists(spans, max_size=6))
def test_as_the_sdk_encodes_it(found: Sequence[ReadableSpan]) -> None:
    line = line_of(found)
    assert line.endswith("\n") or not found
    assert line.count("\n") == (1 if found else 0)
    ours = json.loads(line) if line else {}
    assert told(ours) == told(encode_spans(found).to_dict())
    assert line.isascii()


def test_what_our_spans_consist_of_is_not_left_to_the_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    parent = SpanContext(7, 8, True, TraceFlags(1))
    span = ReadableSpan(
        "wait", SpanContext(7, 9, False, TraceFlags(1)), parent, RESOURCES[0], {"a": "é", "b": 2, "c": True, "d": ("x", 3)},
        links=[Link(SpanContext(1, 2, False))], start_time=1, end_time=2, instrumentation_scope=SCOPES[0],
    )  # fmt: skip
    expected = told(encode_spans([span, span]).to_dict())
    around = span_lines._encoded(span)
    calls = []

    def encoded(one: ReadableSpan) -> list[Any]:
        calls.append(one)
        return json.loads(json.dumps(around))  # type: ignore[no-any-return]

    monkeypatch.setattr(span_lines, "_encoded", encoded)
    assert told(json.loads(line_of([span, span]))) == expected
    assert len(calls) == 1  # for what stands around all of them


def test_texts_of_keys_are_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(span_lines, "_keys", {})
    monkeypatch.setattr(span_lines, "_MOST_KEYS", 3)
    for number in range(5):
        span = ReadableSpan(
            "s", SpanContext(1, 2, False), attributes={f"k{number}": 1}, start_time=1, end_time=2
        )
        assert f'"k{number}"' in line_of([span])
    assert len(span_lines._keys) == 3
