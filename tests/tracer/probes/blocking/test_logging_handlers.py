"""Logging handlers inside a request: blocked time is theirs, computing is not, short ones are nobody's."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.tracer.conftest import Traced
from whywait import analysis, phase
from whywait.tracer.probes.locks.traced_lock import TracedRLock

Begin = Callable[..., Traced]


class Napping(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        time.sleep(0.02)


class Thorough(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        end = time.thread_time() + 0.02
        while time.thread_time() < end:
            pass


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    logger = logging.getLogger("test.logging_waits")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()


def causes_ms(spans: Traced) -> dict[str, float]:
    table = analysis.analyze(spans.output).causes
    return {str(cause): float(ns) / 1e6 for cause, ns in table.groupby("cause")["amount_ns"].sum().items()}


def in_a_job(*functions: Callable[[], Any]) -> None:
    with phase("root"), ThreadPoolExecutor(len(functions)) as pool:
        for job in [pool.submit(function) for function in functions]:
            job.result()


def test_a_handler_that_sleeps(traced_to: Begin, log: logging.Logger) -> None:
    spans = traced_to()
    handler = Napping()
    handler.set_name("audit")
    log.addHandler(handler)
    in_a_job(lambda: log.info("x"))
    spans.stop()
    stretch = spans.one("logging: Napping.emit")
    assert stretch.ms >= 20
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "logging_wait"]
    assert wait.ms == pytest.approx(20, abs=0.1)
    assert wait["logging.handler"] == "Napping.emit"
    assert causes_ms(spans)["logging_wait"] >= 19.9


def test_a_handler_that_computes_does_not_wait(traced_to: Begin, log: logging.Logger) -> None:
    spans = traced_to()
    log.addHandler(Thorough())
    in_a_job(lambda: log.info("x"))
    spans.stop()
    stretch = spans.one("logging: Thorough.emit")
    assert stretch["cpu_ns"] >= 19e6
    assert not [span for span in spans.of_kind("wait") if span["wait"] == "logging_wait"]
    assert causes_ms(spans)["compute"] >= 19


def test_a_write_that_blocks(traced_to: Begin, log: logging.Logger) -> None:
    spans = traced_to()
    readable, writable = os.pipe()
    stream = os.fdopen(writable, "w")
    log.addHandler(logging.StreamHandler(stream))

    def drain() -> None:
        time.sleep(0.05)
        while os.read(readable, 1 << 20):
            pass

    reader = threading.Thread(target=drain)
    reader.start()
    in_a_job(lambda: log.info("x" * (1 << 18)))
    stream.close()
    reader.join()
    os.close(readable)
    spans.stop()
    stretch = spans.one("logging: StreamHandler")
    amounts = causes_ms(spans)
    blocked_ms = stretch.ms - stretch["cpu_ns"] / 1e6  # some of which it may have lacked a CPU
    assert blocked_ms / 2 < amounts["logging_wait"] <= blocked_ms + 0.1
    assert amounts["logging_wait"] > 20


def test_one_handler_shared_by_threads_names_who_held_its_lock(traced_to: Begin, log: logging.Logger) -> None:
    spans = traced_to()
    handler = Napping()
    assert type(handler.lock) is TracedRLock
    log.addHandler(handler)
    in_a_job(lambda: log.info("one"), lambda: log.info("two"))
    spans.stop()
    waits = [span for span in spans.of_kind("wait") if span["wait"] == "logging_wait"]
    (queued,) = [span for span in waits if span["lock.kind"] == "RLock"]
    assert queued.ms > 10
    assert queued["lock.file"] == __file__
    holder = next(span for span in waits if span["lock.kind"] is None and span.start_ns < queued.start_ns)
    assert queued["blocker.span_id"] == holder["activity"]
    assert queued["blocker.function"] == "Napping.emit"


def test_what_takes_no_time_is_not_told(traced_to: Begin, log: logging.Logger, tmp_path: Path) -> None:
    spans = traced_to(logging_ns=50_000_000)
    log.addHandler(logging.FileHandler(tmp_path / "log"))
    in_a_job(lambda: log.info("x"))
    spans.stop()
    assert not [span for span in spans.spans if span.name.startswith("logging")]
    assert (tmp_path / "log").read_text() == "x\n"


def test_a_handler_that_fails_fails_as_ever(traced_to: Begin, log: logging.Logger) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.001)
            raise KeyError("broken")

        def filter(self, record: logging.LogRecord) -> bool:
            return record.msg != "dropped"

    spans = traced_to()
    handler = Broken()
    log.addHandler(handler)

    def work() -> None:
        with pytest.raises(KeyError, match="broken"):
            log.info("x")
        assert handler.handle(log.makeRecord("n", 20, "f", 1, "dropped", (), None)) is False

    in_a_job(work)
    spans.stop()
    assert spans.one("logging: test_a_handler_that_fails_fails_as_ever.<locals>.Broken.emit").ms >= 1


def test_the_culprit_stands_where_its_handler_writes(traced_to: Callable[..., Traced]) -> None:
    class Slow(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            time.sleep(0.02)

    log = logging.Logger("slow")
    spans = traced_to()
    log.addHandler(Slow())
    with phase("root"):
        log.warning("a line")
    spans.stop()
    found = analysis.analyze(spans.output).culprits
    found = found[found["cause"] == "logging_wait"].sort_values("ns", ascending=False)
    culprit = found.to_dict("records")[0]  # on a crowded machine getting there is a part of it, too
    code = Slow.emit.__code__
    assert culprit["culprit_file"] == __file__
    assert code.co_firstlineno <= culprit["culprit_line"] <= code.co_firstlineno + 1
