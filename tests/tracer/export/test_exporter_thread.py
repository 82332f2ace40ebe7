"""A request whose spans cannot be built, or not in time, is counted, and takes no other with it."""

import threading
import time
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


@pytest.mark.parametrize(("each_ms", "hurries"), [(10, True), (0, False)], ids=["much work each", "little"])
def test_it_hurries_by_the_work_that_is_left_and_not_by_the_number(
    monkeypatch: pytest.MonkeyPatch, each_ms: int, *, hurries: bool
) -> None:
    """Else few requests of many spans are more than the process's end has time for."""

    def drawn(request: Request, *_: Any) -> list[str]:
        until_ns = time.thread_time_ns() + each_ms * 1_000_000
        while time.thread_time_ns() < until_ns:
            pass
        return [request.name]

    paused: list[float] = []
    monkeypatch.setattr(exporter_thread, "request_spans", drawn)
    monkeypatch.setattr(exporter_thread, "_SLICE_NS", 0)
    recorder = Recorder(Config())
    monkeypatch.setattr(recorder, "is_busy", lambda: True)
    finished(recorder, *map(str, range(100)))
    outlet = Outlet(recorder, Maker(), lambda: None)  # type: ignore[arg-type]
    monkeypatch.setattr(exporter_thread.time, "sleep", paused.append)
    outlet._drain(everything=True)
    assert len(paused) == 100
    assert (exporter_thread._PAUSE_BEHIND_S in paused[:60]) == hurries
    assert paused[-1] == exporter_thread._PAUSE_S  # a few are no backlog
