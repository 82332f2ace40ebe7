"""Lines decoded straight into rows are the rows that the general reader finds, and are refused with its words."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from whywait.analysis.load import typed_otlp
from whywait.analysis.load.others import rows_of_any
from whywait.analysis.load.otlp import parsed
from whywait.analysis.load.typed_otlp import rows_of_line

RECORDING = sorted(Path(__file__).parents[3].joinpath("notebooks", "recording").glob("*.jsonl.gz"))
VALUES: tuple[Any, ...] = (
    {"stringValue": "é\ud83d\ude00"}, {"stringValue": ""}, {"stringValue": "\ud800"}, {"stringValue": None},
    {"stringValue": 5}, {"intValue": "-7"}, {"intValue": 7}, {"intValue": "1_0"}, {"intValue": " 5 "}, {"intValue": "1.0"},
    {"intValue": 1.5}, {"intValue": str(2**70)}, {"intValue": 2**70}, {"intValue": None}, {"intValue": True},
    {"doubleValue": 1}, {"doubleValue": 1e300}, {"doubleValue": "NaN"}, {"boolValue": False}, {"boolValue": "true"},
    {"arrayValue": {}}, {"arrayValue": {"values": []}}, {"arrayValue": {"values": None}}, {"arrayValue": []},
    {"arrayValue": {"values": [{"stringValue": "a"}, {"intValue": "2"}, {"intValue": 3}, {"doubleValue": 0.5}, {},
                               {"boolValue": True}, {"arrayValue": {"values": [{"intValue": "4"}]}}]}},
    {"arrayValue": {"values": [{"intValue": str(one)} for one in range(1000)]}}, {"arrayValue": {"values": [{"later": 1}]}},
    {"stringValue": "a", "arrayValue": 5}, {"arrayValue": {"values": [{"stringValue": 1}]}},
    {"kvlistValue": {"values": [{"key": "k", "value": {"intValue": "1"}}]}}, {"bytesValue": "YQ=="}, {"later": [1]},
    {"intValue": "1", "stringValue": "a"}, {}, None, [], "a",
)  # fmt: skip
SPAN: dict[str, Any] = {
    "traceId": "AB" * 16, "spanId": "cd" * 8, "startTimeUnixNano": "5", "endTimeUnixNano": 6, "name": "n", "kind": 2,
}  # fmt: skip
ODD_SPANS: tuple[dict[str, Any], ...] = (
    {}, {"parentSpanId": "0" * 16}, {"parentSpanId": None}, {"name": 5}, {"name": None}, {"kind": "SPAN_KIND_CLIENT"},
    {"kind": 2.0}, {"kind": 99}, {"kind": None}, {"kind": [1]}, {"status": {"code": 2}}, {"status": {"code": "STATUS_CODE_ERROR"}},
    {"status": None}, {"status": {}}, {"startTimeUnixNano": str(2**62)}, {"startTimeUnixNano": "-1"},
    {"startTimeUnixNano": "5.0"}, {"endTimeUnixNano": 7.9}, {"traceId": 5}, {"spanId": ""}, {"links": None},
    {"links": [{"traceId": "0" * 32, "spanId": "EF" * 8}]}, {"links": [{}]}, {"attributes": None}, {"attributes": [{}]},
    {"attributes": [{"key": "k"}]}, {"attributes": [{"key": 1, "value": {"intValue": "1"}}]}, {"events": [{"name": "e"}]},
)  # fmt: skip


def line(span: dict[str, Any], attributes: object = ()) -> bytes:
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "shop"}},
                               {"key": "whywait.lost", "value": {"intValue": "3"}}]}  # fmt: skip
    spans = [SPAN | {"attributes": attributes} | span]
    return json.dumps(
        {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": spans}]}]}
    ).encode()


DOCUMENTS = (
    *(line(span) for span in ODD_SPANS),
    *(line({}, [{"key": "k", "value": value}, {"key": "k2", "value": {"intValue": "1"}}]) for value in VALUES),
    *(json.dumps(one).encode() for one in (
        {}, [], 5, {"resourceSpans": None}, {"resourceSpans": []}, {"resourceSpans": [{}]}, {"resourceSpans": [None]},
        {"resourceSpans": [{"resource": None, "scopeSpans": None}]}, {"resourceSpans": [{"scopeSpans": [{"scope": None}]}]},
        {"resourceSpans": [{"instrumentationLibrarySpans": [{"spans": [SPAN]}]}]}, {"batches": [{"scopeSpans": [{"spans": [SPAN]}]}]},
        {"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"intValue": "5"}}]}, "scopeSpans": [{"spans": [SPAN]}]}]},
    )),
    line({"events": [{"name": "here"}]}).replace(b"here", b"\xff"), line({"events": [{"name": "here"}]}).replace(b"here", b"\\x"),
    line({"events": [{"name": "here"}]}).replace(b"here", b"\n"), line({"events": [1]}).replace(b"[1]", b"[01]"),
    line({"events": [1]}).replace(b"[1]", b"[1,]"), line({"events": [1]}).replace(b"[1]", b"[nul]"),
    b"\xef\xbb\xbf" + line({}), line({})[:-3], line({}) + b" x", b'{"resourceSpans":' * 3, b"[" * 100_000, b"\xff",
    line({}).replace(b'"kind": 2', b'"kind": NaN'),
)  # fmt: skip


def said(text: bytes, general: bool) -> object:
    try:
        return repr(rows_of_any(parsed(text)) if general else rows_of_line(text))
    except (ValueError, RecursionError) as error:
        return type(error), str(error)


@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_every_line_is_read_or_refused_as_by_the_general_reader(number: int) -> None:
    assert said(DOCUMENTS[number], general=False) == said(DOCUMENTS[number], general=True)


@pytest.mark.parametrize("file", RECORDING, ids=lambda file: file.name)
def test_the_tracer_s_own_lines_are_decoded_straight(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = gzip.decompress(file.read_bytes()).splitlines()
    expected = [rows_of_any(parsed(one)) for one in lines]
    monkeypatch.setattr(typed_otlp, "parsed", lambda text: pytest.fail(f"not decoded straight: {text[:200]!r}"))
    assert [rows_of_line(one) for one in lines] == expected


def test_equal_arrays_are_one_list_and_long_ones_are_not_kept() -> None:
    short, long = ({"arrayValue": {"values": [{"intValue": str(one)} for one in range(count)]}} for count in (3, 1000))
    (first,), (second,) = (
        rows_of_line(line({}, [{"key": "a", "value": short}, {"key": "b", "value": long}])) for _ in range(2)
    )
    assert first[10]["a"] == second[10]["a"] == [0, 1, 2]
    assert first[10]["a"] is second[10]["a"]
    assert first[10]["b"] == second[10]["b"] == list(range(1000))
    assert first[10]["b"] is not second[10]["b"]


def test_what_is_kept_of_attributes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    known = typed_otlp._Attributes()
    monkeypatch.setattr(typed_otlp, "_known", known.__getitem__)
    monkeypatch.setattr(typed_otlp, "_MOST", 10)
    texts = [f"text {one % 25}" for one in range(100)]
    found = [rows_of_line(line({}, [{"key": "k", "value": {"stringValue": one}}]))[0][-2]["k"] for one in texts]
    assert found == texts
    assert 0 < len(known) <= 10
    known.clear()
    times = [
        rows_of_line(line({}, [{"key": "k", "value": {"intValue": str(one)}}]))[0][-2]["k"]
        for one in range(10**9, 10**9 + 100)
    ]
    assert times == list(range(10**9, 10**9 + 100))
    assert not known, "times do not come again"
