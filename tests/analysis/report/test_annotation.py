"""Causes written back as spans: they tile each request, name who is to blame, and are no evidence when read again."""

import gzip
import io
import itertools
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings

from tests.analysis.cli.test_cli import GOOD, refused, whywait
from tests.analysis.drawing import drawn, trace_id
from tests.analysis.otlp_writer import otlp_lines
from tests.analysis.random_traces import traces
from tests.analysis.report.test_report import HOSTILE
from tests.analysis.verdicts.test_sentences import OCCUPIED, QUEUED
from whywait import analysis
from whywait.analysis.errors import InputError
from whywait.analysis.load.otlp import rows_of
from whywait.analysis.report.annotation import cause_spans
from whywait.analysis.report.annotation.cause_spans import _said
from whywait.analysis.write.otlp_file import NewSpan, write_spans
from whywait.analysis.write.otlp_http import send
from whywait.tracer import schema


def made(told: analysis.Analysis, shortest_ns: int = 0) -> list[NewSpan]:
    return list(cause_spans(told, shortest_ns))


def test_the_lane_has_the_sums_and_below_it_who_did_it() -> None:
    told = analysis.analyze(drawn(QUEUED, OCCUPIED))
    lane, *segments = made(told)
    (request,) = told.requests.to_dict("records")
    assert (lane.parent_id, lane.start_ns, lane.end_ns) == (
        request["request_id"], request["start_ns"], request["end_ns"],
    )  # fmt: skip
    assert lane.attributes[f"{schema.FOUND_SUM_PREFIX}pool_queue_ns"] == 21_000_000
    assert lane.attributes[schema.FOUND_CAUSE] == "pool_queue"
    (queue,) = [one for one in segments if one.attributes[schema.FOUND_CAUSE] == "pool_queue"]
    assert queue.parent_id == lane.span_id
    assert queue.attributes[schema.FOUND_CULPRIT] == "predict_one"
    assert queue.attributes[schema.FOUND_CULPRIT_NS] == 15_000_000
    assert queue.name.startswith("pool_queue by predict_one: pool 'predict'")
    assert {one.name.split(":")[0] for one in segments if "compute" in one.name} == {"compute"}
    assert (
        _said({"cause": "loop_busy", "culprit": "rank", "detail": "the loop ran rank (app.py:3)"})
        == "loop_busy by rank (app.py:3)"
    )
    assert queue.links == ((trace_id("b"), "00000000000000b1"),)
    assert lane.resource["service.name"] != request["service"]


@settings(max_examples=60, deadline=None)  # how long one takes is not claimed
@given(traces(measured=True))
def test_without_a_threshold_the_spans_tile_every_request(frame: Any) -> None:
    try:
        told = analysis.analyze(frame)
    except InputError:
        return
    spans = made(told)
    for request in told.requests[told.requests["request_id"].isin(told.causes["request_id"])].to_dict("records"):
        (lane,) = [one for one in spans if one.parent_id == request["request_id"]]
        own = sorted((one.start_ns, one.end_ns) for one in spans if one.parent_id == lane.span_id)
        assert sum(end - start for start, end in own) == request["wall_ns"]
        assert all(first[1] == second[0] for first, second in itertools.pairwise(own))
        sums = [ns for key, ns in lane.attributes.items() if key.startswith(schema.FOUND_SUM_PREFIX)]
        assert sum(sums) == request["wall_ns"]


def test_annotated_traces_are_analysed_as_before(tmp_path: Path) -> None:
    spans = drawn(QUEUED, OCCUPIED)
    stream = io.StringIO(otlp_lines(spans))
    stream.seek(0, io.SEEK_END)
    told = analysis.analyze(spans)
    assert write_spans(cause_spans(told, 0), schema.ANNOTATION_SCOPE, stream) > 2
    path = tmp_path / "annotated.jsonl"
    path.write_text(stream.getvalue())
    again = analysis.analyze(str(path))
    assert again.causes.equals(told.causes)
    assert again.findings == told.findings


def test_hostile_names_stay_data(tmp_path: Path) -> None:
    spans = drawn(QUEUED, {**OCCUPIED, "q": {**OCCUPIED["q"], schema.OCCUPANT_NAMES: [HOSTILE, HOSTILE]}})
    stream = io.StringIO()
    write_spans(cause_spans(analysis.analyze(spans.assign(name=HOSTILE)), 0), schema.ANNOTATION_SCOPE, stream)
    rows = [row for line in stream.getvalue().splitlines() for row in rows_of(json.loads(line))]
    assert rows[0][3].startswith("why ")


def test_the_command_passes_the_traces_through_unchanged_and_twice_is_once(tmp_path: Path) -> None:
    source, target = tmp_path / "traces.jsonl", tmp_path / "annotated.jsonl"
    source.write_text(GOOD + "\n")
    done = whywait("annotate", str(source), "--output", str(target))
    assert done.returncode == 0, done.stderr
    lines = target.read_text().splitlines()
    assert lines[0] == GOOD
    assert len(lines) > 1
    again = whywait("annotate", "-", "--output", "-", stdin=target.read_text())
    assert again.stdout == target.read_text()
    alone = whywait("annotate", str(source), "--output", "-", "--only-causes")
    assert alone.stdout.splitlines() == lines[1:]


def test_what_is_compressed_comes_along_too(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    plain, packed = tmp_path / "traces.jsonl", tmp_path / "in" / "traces.jsonl.gz"
    plain.write_text(GOOD + "\n")
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    wanted = whywait("annotate", str(plain), "--output", "-").stdout
    assert wanted.splitlines()[0] == GOOD
    for source in (packed, packed.parent):
        assert whywait("annotate", str(source), "--output", "-").stdout == wanted


def test_of_the_slowest_alone_nothing_else_is_written(tmp_path: Path) -> None:
    source = tmp_path / "traces.jsonl"
    spans = [drawn(QUEUED, unit_ns=unit) for unit in (1_000_000, 3_000_000, 2_000_000)]
    named = [one.assign(trace_id=one["trace_id"].str[:-1] + str(at)) for at, one in enumerate(spans)]
    everything = pd.concat(named, ignore_index=True)
    source.write_text(otlp_lines(everything))
    slowest = analysis.analyze(str(source)).requests.sort_values("wall_ns", ascending=False)["trace_id"]
    done = whywait("annotate", str(source), "--slowest", "2", "--output", "-")
    assert done.returncode == 0, done.stderr
    rows = [row for line in done.stdout.splitlines() for row in rows_of(json.loads(line))]
    assert {row[0] for row in rows} == set(slowest[:2])
    kept = everything["trace_id"].isin(set(slowest[:2]))
    assert {row[1] for row in rows} > set(everything.loc[kept, "span_id"])
    refused(whywait("annotate", str(source), "--slowest", "0", "--output", "-"), "--slowest")


def test_refusals_are_one_clear_line(tmp_path: Path) -> None:
    source = tmp_path / "traces.jsonl"
    source.write_text(GOOD + "\n")
    refused(whywait("annotate", str(source)), "--output", "--send")
    refused(whywait("annotate", str(source), "--output", "-", "--send", "http://x"), "--output -")
    refused(whywait("annotate", str(source), "--output", str(tmp_path)), "directory")
    refused(whywait("annotate", str(source), "--send", "file:///etc/passwd"), "not the address")
    with pytest.raises(InputError, match="did not accept traces"):
        send([b"{}"], "http://127.0.0.1:1")
