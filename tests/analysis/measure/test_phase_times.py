"""Phases of a predict: computing divided among them, and time in a device's calls given to the device."""

import pandas as pd
import pytest

from tests.analysis.drawing import UNIT_NS, drawn, shown
from whywait import analysis
from whywait.analysis.measure.phase_times import phase_times
from whywait.analysis.model import Traces
from whywait.analysis.pipeline import analyze
from whywait.tracer import schema

PREDICT = """
    server GET                   |--------------------|
    task   root                  |--------------------|   cpu=20
    phase  transform   root        |--------|             cpu=8
    phase  compute     root                   |------|    cpu=6
"""
GPU = """
    server GET                 |--------------------|
    task   root                |--------------------|   cpu=18
    phase  predict  root         |----------------|     cpu=15
    wait   queued   root           |-----|              type=gpu_queue
    phase  compute  root           |-----------|        cpu=10
    phase  copy     root                        |-|     cpu=1
"""
OTHER = f"{ord('b'):032x}"
DEVICE = {
    "queued": {
        schema.DEVICE: "cuda:0", schema.EVIDENCE: schema.EVIDENCE_INFERRED,
        schema.OCCUPANT_NAMES: ["compute: Booster.predict"], schema.OCCUPANT_TRACE_IDS: [OTHER],
        schema.OCCUPANT_SPAN_IDS: ["b" * 16], schema.OCCUPANT_NS: [6 * UNIT_NS], schema.OCCUPANT_OTHER_NS: 0,
    },
    "predict": {schema.PHASE: "predict"},
    "compute": {
        schema.PHASE: "compute", schema.DEVICE: "cuda:0", schema.EVIDENCE: schema.EVIDENCE_INFERRED,
    },
    "copy": {schema.PHASE: "device-to-host", schema.DEVICE: "cuda:0", schema.DEVICE_NS: 2 * UNIT_NS},
}  # fmt: skip


def times(spans: pd.DataFrame) -> dict[str, float]:
    table = phase_times(analyze(Traces(spans)))
    return {row.phase: row.amount_ns / UNIT_NS for row in table.itertuples()}


def test_computing_is_divided_among_the_innermost_phases() -> None:
    words = {"transform": {schema.PHASE: "transform"}, "compute": {schema.PHASE: "compute"}}
    assert times(drawn(PREDICT, words)) == {"": 5, "transform": 8, "compute": 6}


def test_phases_without_spans_take_their_part_of_the_span_around_them() -> None:
    words = {"transform": {schema.PHASE: "transform", f"{schema.PHASE_SMALL_PREFIX}frame_build_ns": 3 * UNIT_NS}}
    found = times(drawn(PREDICT, words))
    assert found["frame build"] == pytest.approx(8 * 3 / 9, abs=0.01)
    assert found["transform"] + found["frame build"] == pytest.approx(8)


def test_time_in_a_devices_call_is_the_devices() -> None:
    rows = analyze(Traces(drawn(GPU, DEVICE))).causes
    said = shown(rows)
    assert (4, 10, "gpu_queue", "queued") in said
    assert sum(end - start for start, end, cause, name in said if cause == "gpu_compute") == 6
    assert {name for _, _, cause, name in said if cause == "gpu_compute"} == {"compute"}
    assert sum(end - start for start, end, cause, name in said if cause == "gpu_copy") == 2
    evidence = rows.groupby("cause")["evidence"].unique()
    assert list(evidence["gpu_queue"]) == ["inferred"]
    assert list(evidence["gpu_compute"]) == ["inferred"]
    assert list(evidence["gpu_copy"]) == ["observed"]


def test_who_held_the_device_is_named() -> None:
    found = analyze(Traces(drawn(GPU, DEVICE)))
    (held,) = found.culprits[found.culprits["cause"] == "gpu_queue"].itertuples()
    assert (held.culprit, held.culprit_trace_id, held.ns) == ("compute: Booster.predict", OTHER, 6 * UNIT_NS)
    (said,) = analysis.verdict(found)
    reason = next(one for one in said.reasons if one.startswith("GPU queue"))
    assert ": cuda:0, behind compute: Booster.predict" in reason
    assert said.judgement.reasons[said.reasons.index(reason)].other_requests_share == pytest.approx(1)


def test_the_verdict_says_in_which_phases_it_computed() -> None:
    words = {"transform": {schema.PHASE: "transform"}, "compute": {schema.PHASE: "compute"}}
    (said,) = analysis.verdict(analyze(Traces(drawn(PREDICT, words))))
    assert said.headline.endswith("Its own computing: 8.0 ms transform, 6.0 ms compute.")
    waits = drawn(GPU, DEVICE | {"predict": {schema.PHASE: "transform"}})
    (said,) = analysis.verdict(analyze(Traces(waits)))
    assert "of that was its own computing (3.0 ms transform)." in said.headline


def test_a_run_queue_measured_outside_lies_where_an_inner_phase_leaves_room() -> None:
    """The inner phase knows that it was on a CPU throughout; the run knows that it was not, for a third."""
    rows = analyze(Traces(drawn("""
        server GET                |--------------|
        task   root               |--------------|    cpu=3
        wait   w        root         |---------|      type=await waker=job
        job    job      root         |---------|
        run    run      job          |---------|      cpu=7 rq=3
        phase  compute  job          |-----|          cpu=6
    """))).causes  # fmt: skip
    totals = rows.groupby("cause")["amount_ns"].sum() / UNIT_NS
    assert totals["cpu_wait"] == 3
    assert totals.get("unexplained", 0) <= 2  # what the task did not compute before and after
