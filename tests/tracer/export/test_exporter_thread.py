"""A request whose spans cannot be built, or not in time, is counted, and takes no other with it."""

import threading
from typing import Any

import pytest

from whywait.tracer.config import Config
from whywait.tracer.export import exporter_thread
from whywait.tracer.export.exporter_thread import Outlet
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.records.request import Request
from whywait.tracer.schema import LOST_SPAN
from whywait.tracer.spans.span_spec import AboutLost


class Maker:
    """Makes spans of names."""

    def __init__(self) -> None:
        self.made: list[Any] = []

    def look(self) -> None:
        pass

    def make(self, spec: str, _: Any) -> None:
        self.made.append(spec)


def finished(recorder: Recorder, *names: str) -> None:
    for number, name in enumerate(names, 1):
        request = Request(number, number, 1, 0, 10)
        request.name, request.end_ns = name, 1
        recorder.finished.append(request)


def test_a_request_that_cannot_be_drawn_takes_no_other_with_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def drawn(request: Request, *_: Any) -> list[str]:
        if request.name == "odd":
            raise ValueError("odd")
        return [request.name]

    monkeypatch.setattr(exporter_thread, "request_spans", drawn)
    recorder, maker = Recorder(Config()), Maker()
    finished(recorder, "one", "odd", "other")
    outlet = Outlet(recorder, maker, lambda: None)  # type: ignore[arg-type]
    outlet.start()
    outlet.stop(10)
    *made, told = maker.made
    assert made == ["one", "other"]
    assert told.name == LOST_SPAN
    assert told.about == AboutLost({"export": 1})
    assert dict(recorder.lost) == {"export": 1}
    assert "could not build spans" in caplog.text


def test_what_there_was_no_time_for_is_counted_and_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(request: Request, *_: Any) -> list[str]:
        begun.set()
        go_on.wait(10)
        return [request.name]

    monkeypatch.setattr(exporter_thread, "request_spans", slow)
    recorder, maker = Recorder(Config()), Maker()
    finished(recorder, "one", "two", "three")
    outlet = Outlet(recorder, maker, lambda: None)  # type: ignore[arg-type]
    outlet.start()
    thread = outlet._thread
    assert thread is not None
    outlet._wake.set()
    assert begun.wait(10)
    outlet.stop(0.05)
    go_on.set()
    thread.join(10)
    assert list(recorder.lost.values()) == [3]
    assert "at the process's end" in next(iter(recorder.lost))
    assert "3 finished requests" in caplog.text
