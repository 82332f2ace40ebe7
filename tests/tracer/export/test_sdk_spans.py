"""Spans of ours are handed to our processors as they are: the SDK's own way costs some 60 µs each."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whywait import phase
from whywait.tracer.export.sdk_spans import SpanMaker


def test_the_sdk_makes_no_span_where_only_ours_hear_of_it(
    traced_to: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(SpanMaker, "_make", lambda _, spec, *__: made.append(spec.name))
    spans = traced_to()
    with phase("root"), phase("inner"):
        pass
    while not list(tmp_path.glob("traces/*")):  # while the session goes on: at its end its processors go first
        time.sleep(0.01)
    spans.stop()
    assert len(spans.named("inner")) == len(spans.named("root")) == 1
    assert made == []
