"""Reading OTLP JSON Lines, from OpenTelemetry's own exporter and from hostile files."""

import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from opentelemetry.exporter.otlp.json.file.trace_exporter import FileSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from tests.analysis.otlp_writer import otlp_lines
from tests.analysis.spans.test_clean import GOOD, drawn
from whywait import analysis
from whywait.analysis.errors import InputError
from whywait.analysis.load.otlp import decode_value
from whywait.analysis.model import SPAN_COLUMNS


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "traces.jsonl"
    path.write_text(otlp_lines(drawn(GOOD)))
    return path


def test_what_the_exporter_writes_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
    provider.add_span_processor(SimpleSpanProcessor(FileSpanExporter(str(path))))
    tracer = provider.get_tracer("whywait")
    attributes = {"int": 2**60, "zero": 0, "empty": "", "float": 0.5, "yes": True, "no": False,
                  "words": ["a", ""], "numbers": [1, 0]}  # fmt: skip
    with (
        tracer.start_as_current_span("outer", kind=SpanKind.SERVER, attributes=attributes) as outer,
        tracer.start_as_current_span("inner", links=[Link(outer.get_span_context())]) as inner,
    ):
        inner.set_status(Status(StatusCode.ERROR))
    provider.shutdown()
    spans = analysis.load_traces(path).spans
    assert tuple(spans.columns) == SPAN_COLUMNS
    first, second = spans.iloc[0], spans.iloc[1]
    assert first["attributes"] == attributes
    assert (first["name"], first["span_kind"], first["service"], first["scope"]) == (
        "outer",
        "server",
        "shop",
        "whywait",
    )
    assert (first["start_ns"], first["end_ns"]) == (outer.start_time, outer.end_time)
    assert (first["error"], second["error"]) == (False, True)
    assert first["parent_id"] == ""
    assert second["parent_id"] == first["span_id"] == f"{outer.get_span_context().span_id:016x}"
    assert second["links"] == [(first["trace_id"], first["span_id"])]


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        ({"intValue": "7"}, 7), ({"intValue": 7}, 7), ({"doubleValue": 1}, 1.0), ({"boolValue": False}, False),
        ({"stringValue": ""}, ""), ({"bytesValue": "YQ=="}, "YQ=="), ({}, None), ({"arrayValue": {}}, []),
        ({"arrayValue": {"values": [{"intValue": "1"}, {"stringValue": "x"}]}}, [1, "x"]),
        ({"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}, {"k": 1}),
    ],
)  # fmt: skip
def test_values(encoded: dict[str, object], value: object) -> None:
    assert decode_value(encoded) == value


def test_enum_names_and_numbers_are_the_same(file: Path) -> None:
    text = file.read_text()
    named = file.with_name("named.jsonl")
    named.write_text(text.replace('"kind": 2', '"kind": "SPAN_KIND_SERVER"'))
    assert named.read_text() != text
    pd.testing.assert_frame_equal(analysis.load_traces(named).spans, analysis.load_traces(file).spans)


def test_file_directory_and_standard_input_give_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = analysis.attribute(drawn(GOOD))
    pd.testing.assert_frame_equal(analysis.attribute(analysis.load_traces(file)), wanted)
    pd.testing.assert_frame_equal(analysis.attribute(analysis.load_traces(file.parent)), wanted)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(file.read_bytes())))
    pd.testing.assert_frame_equal(analysis.analyze("-").causes, wanted)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "contains no spans"),
        ("\n\n", "contains no spans"),
        ("hello", "line 1: not JSON"),
        ("[1, 2]", 'line 1: JSON, but not OTLP traces: no "resourceSpans"'),
        (
            '{"resourceLogs": []}',
            "line 1: JSON, but not OTLP traces: it is OTLP metrics or logs: give the file of traces",
        ),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "1"}]}]}]}', "a malformed span"),
        ('{"resourceSpans": [7]}', "a malformed span"),
        ('{"resourceSpans": [{"sco', "line 1: truncated JSON"),
        ("[" * 100_000, "line 1: "),
        ("\x00\x01", "line 1: not JSON"),
    ],
)
def test_what_is_no_trace_is_told_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(content)
    with pytest.raises(analysis.InputError) as told:
        analysis.load_traces(path)
    assert message in str(told.value)
    assert str(path) in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("indent", [None, 2])
def test_one_document_over_many_lines_is_read(file: Path, tmp_path: Path, indent: int | None) -> None:
    merged = [one for line in file.read_text().splitlines() for one in json.loads(line)["resourceSpans"]]
    document = tmp_path / "document.json"
    document.write_text("\n" + json.dumps({"resourceSpans": merged}, indent=indent))
    pd.testing.assert_frame_equal(analysis.load_traces(document).spans, analysis.load_traces(file).spans)


@pytest.mark.parametrize("indent", [None, 2])
def test_a_saved_answer_of_jaeger_is_read(tmp_path: Path, indent: int | None) -> None:
    span = {
        "traceID": "a1", "spanID": "b1", "operationName": "GET /", "references": [], "startTime": 1_544_712_660_000_000,
        "duration": 1_000_000, "tags": [{"key": "span.kind", "type": "string", "value": "server"}], "processID": "p1",
    }  # fmt: skip
    answer = {"data": [{"traceID": "a1", "spans": [span], "processes": {"p1": {"serviceName": "shop"}}}]}
    saved = tmp_path / "trace.json"
    saved.write_text(json.dumps(answer, indent=indent))
    (found,) = analysis.load_traces(saved).spans.to_dict("records")
    assert (found["name"], found["span_kind"], found["service"]) == ("GET /", "server", "shop")
    assert found["end_ns"] - found["start_ns"] == 10**9
    del answer["data"][0]["processes"]
    saved.write_text(json.dumps(answer, indent=indent))
    with pytest.raises(InputError, match="like an answer of Jaeger, but malformed"):
        analysis.load_traces(saved)


def test_a_document_that_is_no_trace_is_told_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "settings.json"
    path.write_text(json.dumps({"name": "settings"}, indent=2))
    with pytest.raises(InputError, match=r"settings\.json, line 1: JSON, but not OTLP traces: no \"resourceSpans\""):
        analysis.load_traces(path)


def test_a_line_cut_off_raises_or_is_a_finding(file: Path) -> None:
    whole = file.read_text()
    file.write_text(whole + whole[: whole.index("\n") // 2])
    number = whole.count("\n") + 1
    with pytest.raises(analysis.InputError, match=f"line {number}: the last line is cut off"):
        analysis.load_traces(file)
    traces = analysis.load_traces(file, skip_bad_lines=True)
    assert [(finding.code, finding.count) for finding in traces.findings] == [("bad-line", 1)]
    assert len(traces.spans) == len(drawn(GOOD))


def test_missing_paths_and_empty_directories(tmp_path: Path) -> None:
    with pytest.raises(analysis.InputError, match="does not exist"):
        analysis.load_traces(tmp_path / "nothing.jsonl")
    with pytest.raises(analysis.InputError, match=r"contains no \*\.jsonl file"):
        analysis.load_traces(tmp_path)


def test_service_and_bounds_choose_whole_traces(file: Path) -> None:
    assert len(analysis.load_traces(file, service="shop").spans) == 3
    with pytest.raises(analysis.InputError, match="no service 'bank' in these traces; found: 'shop'"):
        analysis.load_traces(file, service="bank")
    with pytest.raises(analysis.InputError, match="no spans in the chosen time"):
        analysis.load_traces(file, start=datetime(2026, 1, 1, tzinfo=UTC))
    assert len(analysis.load_traces(file, end=datetime(2026, 1, 1, tzinfo=UTC)).spans) == 3


def test_a_frame_needs_the_columns() -> None:
    with pytest.raises(analysis.InputError, match="is without the columns links"):
        analysis.load_traces(drawn(GOOD).drop(columns="links"))


def test_importing_the_package_imports_no_pandas() -> None:
    import subprocess

    code = "import sys, analysis; assert 'pandas' not in sys.modules; assert 'analyze' in dir(analysis)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_name_at_the_door_is_there() -> None:
    for name in analysis.__all__:
        assert getattr(analysis, name).__name__ == name
    assert json.dumps(sorted(analysis.__all__)) == json.dumps(analysis.__all__)


def test_half_a_surrogate_pair_is_a_question_mark(tmp_path: Path) -> None:
    spans = drawn("server GET |---|\ntask root GET |---|")
    path = tmp_path / "traces.jsonl"
    path.write_text(otlp_lines(spans).replace('"GET"', '"GET \\ud800 \\ud83d\\ude00"'))
    assert analysis.analyze(path).requests["endpoint"].tolist() == ["GET ? 😀"]
