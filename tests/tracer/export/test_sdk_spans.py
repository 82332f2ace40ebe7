"""Spans of ours are handed to our processors as they are: the SDK's own way costs some 60 µs each."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from whywait import phase
from whywait.tracer.export.sdk_spans import SpanMaker
from whywait.tracer.spans.span_spec import SpanSpec


def test_only_a_root_is_made_by_the_sdk(traced_to: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    plain = SpanMaker._make

    def counted(self: SpanMaker, spec: SpanSpec, *rest: Any) -> None:
        made.append(spec.name)
        plain(self, spec, *rest)

    monkeypatch.setattr(SpanMaker, "_make", counted)
    spans = traced_to()
    with phase("root"), phase("inner"):
        pass
    while not made:  # while the session goes on: at its end its processors go first
        time.sleep(0.01)
    spans.stop()
    assert len(spans.named("inner")) == 1
    assert made == ["root"]
