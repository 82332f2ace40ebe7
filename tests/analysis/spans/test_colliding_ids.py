"""Equal span ids in different traces change nothing, whatever the traces: apart, since drawn traces take long."""

import io
import json
from typing import Any

import pandas as pd
from hypothesis import HealthCheck, given, settings

from tests.analysis.random_traces import traces
from whywait import analysis
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
