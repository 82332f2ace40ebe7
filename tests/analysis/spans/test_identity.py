"""A span is known by its trace id and span id together: equal span ids in different traces are legal."""

import pandas as pd

from tests.analysis.drawing import UNIT_NS, drawn, trace_id
from tests.analysis.live.traces import BUSY, QUEUED, one
from tests.analysis.situations.test_serial_collection import WOKEN_LATE
from tests.analysis.spans.test_clean import GOOD
from tests.analysis.spans.test_colliding_ids import same
from whywait import analysis
from whywait.analysis.live.assembly import REPEATED, Assembly
from whywait.analysis.live.counting import count
from whywait.analysis.measure.job_times import job_times
from whywait.analysis.report.annotation import cause_spans
from whywait.analysis.situations.serial_collection import serial_collection


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
