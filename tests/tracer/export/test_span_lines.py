"""A line of a trace file against OpenTelemetry's own encoder, and what only ours has to bear."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from whywait.analysis.load.otlp import rows_of
from whywait.tracer.export.span_lines import KINDS, BuiltSpan, line_of
from whywait.tracer.redaction.spans import Redaction
from whywait.tracer.schema import SCOPE

SIMPLE = st.text(max_size=8) | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.floats()
VALUES = SIMPLE | st.lists(st.integers(0, 2**62), max_size=4).map(tuple) | st.lists(st.text(max_size=4), max_size=3)
ATTRIBUTES = st.dictionaries(st.text(min_size=1, max_size=8), VALUES | st.binary(max_size=5), max_size=5)
TIMES = st.integers(1, 2**63 - 1)


@st.composite
def contexts(draw: st.DrawFn) -> SpanContext:
    state = draw(st.sampled_from([TraceState(), TraceState([("vendor", "a"), ("b", "c")])]))
    return SpanContext(
        draw(st.integers(1, 2**128 - 1)), draw(st.integers(1, 2**64 - 1)), draw(st.booleans()), TraceFlags(1), state
    )


@st.composite
def sdk_spans(draw: st.DrawFn) -> ReadableSpan:
    code = draw(st.sampled_from(StatusCode))
    return ReadableSpan(
        name=draw(st.text(max_size=12)), context=draw(contexts()), parent=draw(st.none() | contexts()),
        resource=Resource(draw(st.sampled_from([{}, {"service.name": "a"}])), draw(st.sampled_from(["", "https://s/1"]))),
        attributes=draw(ATTRIBUTES), kind=draw(st.sampled_from(SpanKind)),
        events=[Event(draw(st.text(max_size=4)), draw(ATTRIBUTES), draw(TIMES))] if draw(st.booleans()) else [],
        links=[Link(draw(contexts()), draw(ATTRIBUTES))] if draw(st.booleans()) else [],
        instrumentation_scope=draw(st.sampled_from([None, InstrumentationScope("s", "1.0", "https://s/2", {"k": 1})])),
        status=Status(code, draw(st.sampled_from([None, "bad"])) if code is StatusCode.ERROR else None),
        start_time=draw(TIMES), end_time=draw(TIMES),
    )  # fmt: skip


@given(st.lists(sdk_spans(), min_size=1, max_size=3))
def test_it_says_what_opentelemetrys_own_encoder_says(spans: list[ReadableSpan]) -> None:
    encoder = pytest.importorskip("opentelemetry.exporter.otlp.json.common.trace_encoder")
    theirs = json.loads(json.dumps(encoder.encode_spans(spans).to_dict()))
    assert _told(json.loads(line_of(spans))) == _told(theirs)


# what the analysis reads, an id, the service's own, an error's type
OWN_KEYS = st.sampled_from(
    ["whywait.blocker.function", "whywait.activity", "code.function", "thread.name", "error.type"]
)
THEIR_KEYS = st.sampled_from(
    ["http.route", "url.path", "url.full", "url.query", "http.request.header.cookie", "user.id"]
)
TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "password=hunter2",
        "load (a.py:3)",
        "http://u:hunter2@h/a?token=b",
        "Bearer aB3dE6gH",
        "é" * 300,
        "/t/token-4f2a91",
    ]
)
OWN_VALUES = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.lists(TEXTS, max_size=3) | st.floats()


@st.composite
def built_spans(draw: st.DrawFn) -> BuiltSpan:
    of_service, ids = draw(st.booleans()), st.integers(1, 2**64 - 1)
    plain = OWN_VALUES.filter(lambda one: not isinstance(one, list)) if of_service else OWN_VALUES
    return BuiltSpan(
        draw(TEXTS), draw(ids), draw(ids), draw(st.just(0) | ids), draw(st.sampled_from(list(KINDS))), draw(TIMES),
        draw(TIMES), draw(st.dictionaries(THEIR_KEYS if of_service else OWN_KEYS, plain)),
        tuple(draw(st.lists(st.tuples(ids, ids), max_size=2))), draw(st.booleans()), of_service,
        Resource({"service.name": draw(TEXTS)}), InstrumentationScope(SCOPE),
    )  # fmt: skip


@given(
    st.lists(built_spans() | sdk_spans(), min_size=1, max_size=3),
    st.sampled_from([None, Redaction(keep_parameters=True), Redaction(keep_parameters=False)]),
)
def test_a_span_of_ours_says_what_it_says_as_one_of_the_sdk(
    spans: list[ReadableSpan | BuiltSpan], redaction: Redaction | None
) -> None:
    readable = [one.readable() if isinstance(one, BuiltSpan) else one for one in spans]
    text = line_of(spans, redaction)
    assert text == line_of(readable if redaction is None else list(map(redaction.without_secrets, readable)))


def test_what_otlp_cannot_say_is_told_by_its_type_and_fails_nothing() -> None:
    span = ReadableSpan(
        name="odd", context=SpanContext(1, 2, False), attributes={"thing": object(), "none": None, "nan": math.nan},  # type: ignore[dict-item]
        start_time=1, end_time=2,
    )  # fmt: skip
    text = line_of([span])
    assert '"(object)"' in text
    assert "\n" not in text
    (row,) = rows_of(json.loads(text))
    assert row is not None


def _told(value: Any) -> Any:
    """Without what is empty, which the two leave out at different places."""
    if isinstance(value, dict):
        kept = {key: _told(one) for key, one in value.items()}
        return {key: one for key, one in kept.items() if one not in ({}, [], "", None, 0) or key.endswith("Value")}
    return [_told(one) for one in value] if isinstance(value, list) else value
