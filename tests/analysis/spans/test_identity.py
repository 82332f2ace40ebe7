"""A span is known by its trace id and span id together: equal span ids in different traces are legal."""

import io
import json
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings

from tests.analysis.drawing import UNIT_NS, drawn, trace_id
from tests.analysis.live.traces import BUSY, QUEUED, one
from tests.analysis.random_traces import traces
from tests.analysis.situations.test_serial_collection import WOKEN_LATE
from tests.analysis.spans.test_clean import GOOD
from whywait import analysis
from whywait.analysis.live.assembly import REPEATED, Assembly
from whywait.analysis.live.counting import count
from whywait.analysis.load.otlp import in_order
from whywait.analysis.measure.job_times import collect_delay, job_times
from whywait.analysis.measure.phase_times import phase_times
from whywait.analysis.report.annotation import cause_spans
from whywait.analysis.report.html.timeline import timeline
from whywait.analysis.report.json.report import as_json
from whywait.analysis.report.perfetto import write_perfetto
from whywait.analysis.situations.serial_collection import serial_collection
from whywait.tracer import schema

LENIENT = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=12)
REFERENCES = {schema.ACTIVITY: "", schema.SPAWNED_BY: schema.SPAWNED_BY_TRACE,
              schema.WAKER_SPAN_ID: schema.WAKER_TRACE_ID}  # fmt: skip
SPAN_IDS = ["request_id", "activity_id", "span_id", "culprit_span_id", "job_id"]


def renumbered(spans: pd.DataFrame) -> pd.DataFrame:
    """Return the spans with the ids 1, 2, ... in each trace, in the order of their ids: they collide across traces."""
    new = {
        (trace, old): f"{number:016x}"
        for trace, own in spans.groupby("trace_id")["span_id"]
        for number, old in enumerate(sorted(set(own)), start=1)
    }

    def named(trace: Any, old: Any) -> Any:
        return new.get((trace, old), f"dead{old}" if old else old)

    def changed(trace: str, attributes: dict[str, Any]) -> dict[str, Any]:
        return attributes | {
            key: named(attributes.get(where) or trace, attributes[key])
            for key, where in REFERENCES.items()
            if key in attributes
        }

    ids = spans["trace_id"]
    return in_order(
        spans.assign(
            span_id=[named(*one) for one in zip(ids, spans["span_id"], strict=True)],
            parent_id=[named(*one) for one in zip(ids, spans["parent_id"], strict=True)],
            attributes=[changed(*one) for one in zip(ids, spans["attributes"], strict=True)],
        )
    )


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Compare all but the span ids."""
    left, right = (frame.drop(columns=SPAN_IDS, errors="ignore").reset_index(drop=True) for frame in (one, other))
    pd.testing.assert_frame_equal(left, right)


def shown(told: analysis.Analysis) -> list[Any]:
    """Return what each output says, without span ids."""
    perfetto = io.StringIO()
    write_perfetto(told, perfetto)
    report = json.loads(json.dumps(as_json(told)))
    for request in report["slowest"]:
        del request["request_id"]
    lanes = [timeline(told, str(request_id)) for request_id in told.analysed["request_id"]]
    written = [
        (one.trace_id, one.name, one.start_ns, one.end_ns, one.resource,
         {key: value for key, value in one.attributes.items() if key != schema.FOUND_CULPRIT_SPAN_ID})
        for one in cause_spans(told, 0)
    ]  # fmt: skip
    return [json.loads(perfetto.getvalue()), report, lanes, written]


def agree(spans: pd.DataFrame) -> None:
    one, other = analysis.analyze(spans), analysis.analyze(renumbered(spans))
    for name in ("requests", "causes", "culprits"):
        same(getattr(one, name), getattr(other, name))
    assert one.findings == other.findings
    for measure in (job_times, collect_delay, phase_times, serial_collection):
        same(measure(one), measure(other))
    assert shown(one) == shown(other)


@LENIENT
@given(traces(measured=True))
def test_span_ids_that_collide_across_traces_change_nothing(spans: pd.DataFrame) -> None:
    agree(spans)


def test_many_copies_with_the_same_span_ids_are_as_many_requests() -> None:
    copies = [one(picture, "GET /x", number) for number, picture in enumerate((WOKEN_LATE, QUEUED, BUSY, WOKEN_LATE))]
    spans = pd.concat(copies, ignore_index=True)
    told = analysis.analyze(spans)
    alone = [analysis.analyze(copy) for copy in copies]
    same(told.causes, pd.concat([own.causes for own in alone], ignore_index=True))
    assert len(job_times(told)) == sum(len(job_times(own)) for own in alone)
    gained = serial_collection(told)["gain_ns"].sum() * len(copies)
    assert gained == sum(serial_collection(own)["gain_ns"].sum() for own in alone if len(job_times(own)))
    lanes = [span for span in cause_spans(told, 0) if span.name.startswith("why ")]
    parents = {(span.trace_id, span.parent_id) for span in lanes}
    assert parents == {(copy["trace_id"].iloc[0], f"{1:016x}") for copy in copies}


def test_equal_ids_with_other_times_are_repeated_ids() -> None:
    spans = drawn(GOOD)
    later = spans.assign(start_ns=spans["start_ns"] + 20 * UNIT_NS, end_ns=spans["end_ns"] + 20 * UNIT_NS)
    told = analysis.analyze(pd.concat([spans, later, spans]))
    said = {finding.code: finding for finding in told.findings}
    assert {code: finding.count for code, finding in said.items()} == {"duplicate-span": 3, "repeated-ids": 3}
    repeated = said["repeated-ids"]
    assert "repeated ids" in repeated.message
    assert "seed a `random.Random` of its own instead" in repeated.message
    assert repeated.trace_ids == (trace_id("a"),)
    pd.testing.assert_frame_equal(told.causes, analysis.attribute(spans))


def test_top_counts_requests_with_equal_span_ids_and_repeated_ids() -> None:
    copies = pd.concat([one(BUSY, "GET /x", number) for number in range(3)], ignore_index=True)
    rows = list(copies.itertuples(index=False, name=None))
    repeated = [(*row[:7], row[7] + 1, row[8] + 1, *row[9:]) for row in rows[:2]]
    assembly = Assembly()
    assembly.add([*rows, *rows, *repeated], 0, 0.0)
    (batch,) = count(assembly.due(10.0), assembly, 10.0)
    assert [sum(request.by_cause.values()) for request in batch.requests] == [12 * UNIT_NS] * 3
    assert assembly.lost == {REPEATED: 2}
