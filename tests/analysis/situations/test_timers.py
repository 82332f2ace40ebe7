"""A timer around a job is told to mislead where the job mostly waits for the GIL and a CPU, and only there."""

from types import SimpleNamespace
from typing import Any, cast

import pandas as pd
import pytest

from whywait.analysis.causes import Cause
from whywait.analysis.situations.running.timers import timers
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.verdicts import sentences
from whywait.tracer import schema

MS = 1_000_000


def found(cpu_ms: int, gil_ms: int, run_queue_ms: int, reads_ms: int = 40, logging_ms: int = 0) -> list[Any]:
    attributes = {
        schema.KIND: schema.KIND_RUN, schema.CPU_NS: cpu_ms * MS, schema.GIL_NS: gil_ms * MS,
        schema.RUN_QUEUE_NS: run_queue_ms * MS, schema.CODE_FILE: "app.py", schema.CODE_LINE: 7,
    }  # fmt: skip
    of_runs, waits = [{**attributes, schema.ACTIVITY: str(number)} for number in range(3)], []
    spans = [
        {"trace_id": "a", "name": "predict", "start_ns": 0, "end_ns": reads_ms * MS, "attributes": one}
        for one in of_runs
    ]
    if logging_ms:
        said = {schema.KIND: schema.KIND_WAIT, schema.WAIT: schema.WAIT_LOGGING}
        waits = [{**said, schema.ACTIVITY: str(number)} for number in range(3)]
    spans += [
        {"trace_id": "a", "name": "logging", "start_ns": 0, "end_ns": logging_ms * MS, "attributes": one}
        for one in waits
    ]
    group = SimpleNamespace(
        significant=(Cause.GIL_WAIT,), shares={Cause.LOOP_BUSY: 0.02, Cause.COLLECT_ORDER: 0.01},
        own_spans=pd.DataFrame(spans),
    )  # fmt: skip
    return list(timers(cast(Group, group)))


def test_what_it_reads_and_what_is_computed_are_told_for_one_call() -> None:
    (one,) = found(5, 20, 15)
    assert one.kind is Situation.TIMERS
    told = {name: one.numbers[name] / MS for name in ("read_ns", "own_ns", "gil_ns", "run_queue_ns")}
    assert told == {"read_ns": 40, "own_ns": 5, "gil_ns": 20, "run_queue_ns": 15}
    assert (one.numbers["function"], one.numbers["file"], one.numbers["line"]) == ("predict", "app.py", 7)
    assert one.numbers["loop_share"] == pytest.approx(0.03)


def test_what_it_waits_for_log_handlers_counts_and_is_told() -> None:
    (one,) = found(5, 10, 5, logging_ms=15)
    assert one.numbers["logging_ns"] == 15 * MS
    assert "waits 10.0 ms for the GIL, 5.0 ms for a CPU and 15.0 ms for log handlers." in sentences.situation(one)
    (one,) = found(5, 20, 15)
    assert "waits 20.0 ms for the GIL and 15.0 ms for a CPU." in sentences.situation(one)


@pytest.mark.parametrize(
    ("cpu_ms", "gil_ms", "run_queue_ms"),
    [(30, 6, 4), (5, 2, 3), (0, 30, 10)],
    ids=["it computes", "it waits for other things", "no CPU time is known"],
)
def test_else_nothing_is_told(cpu_ms: int, gil_ms: int, run_queue_ms: int) -> None:
    assert found(cpu_ms, gil_ms, run_queue_ms) == []
