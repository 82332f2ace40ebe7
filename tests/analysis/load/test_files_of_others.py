"""Files that other tools wrote: read, or refused in a sentence that says what they are. Each plain and as gzip."""

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.fuzz import inputs
from whywait import analysis
from whywait.analysis.load import files

ONE = [json.loads(inputs.traces()[0])]
Write = Callable[[Any], bytes]


def line(value: Any) -> bytes:
    return json.dumps(value).encode()


def over_lines(value: Any) -> bytes:
    return b"\xef\xbb\xbf" + json.dumps(value, indent=2).encode() + b"\n"


@pytest.mark.parametrize("ending", [".json", ".jsonl.gz", ".json.downloaded"])
@pytest.mark.parametrize("write", [line, over_lines])
@pytest.mark.parametrize(
    "value",
    [
        inputs.otlp(ONE), inputs.jaeger_v3(ONE), inputs.jaeger(ONE), inputs.jaeger(ONE)["data"][0],
        {"batches": ONE}, {"trace": inputs.otlp(ONE)}, [inputs.otlp(ONE)],
    ],
    ids=["OTLP", "Jaeger v3", "Jaeger's page", "one of Jaeger", "Tempo", "Tempo v2", "a list"],
)  # fmt: skip
def test_what_contains_spans_is_read(tmp_path: Path, value: Any, write: Write, ending: str) -> None:
    path, data = tmp_path / f"others{ending}", write(value)
    path.write_bytes(data if ending == ".json" else gzip.compress(data))  # also a gzip file that is not named so
    (tmp_path / "ours.jsonl").write_bytes(line(inputs.otlp(ONE)))
    assert len(analysis.load_traces(path).spans) == len(analysis.load_traces(tmp_path / "ours.jsonl").spans)


def test_several_objects_over_many_lines_are_read(tmp_path: Path) -> None:
    other = [json.loads(inputs.traces()[1])]
    path = tmp_path / "two.json"
    path.write_bytes(json.dumps(inputs.otlp(ONE), indent=1).encode() + over_lines(inputs.otlp(other))[3:])
    assert analysis.load_traces(path).spans["trace_id"].nunique() == 2


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (line(inputs.zipkin(ONE)), "it is Zipkin v2 spans: send it to the zipkin receiver"),
        (over_lines(inputs.zipkin(ONE)), "it is Zipkin v2 spans"),
        (line(inputs.chrome(ONE)), "it is a Chrome trace"),
        (over_lines(inputs.chrome(ONE)["traceEvents"]), "it is a Chrome trace"),
        (line({"resourceMetrics": []}), "it is OTLP metrics or logs"),
        (over_lines({"name": "GET", "context": {"trace_id": "0x1"}}), "OpenTelemetry's console exporter"),
        (line({"traceID": "1", "operationName": "x"}), "single spans of Jaeger"),
        (b"\n\x8c\x01\n\x12" + bytes(8) + b"\xff", "it is OTLP as protobuf"),
    ],
)
def test_what_is_not_read_is_told_in_one_sentence(tmp_path: Path, data: bytes, told: str) -> None:
    for path, content in ((tmp_path / "other", data), (tmp_path / "other.gz", gzip.compress(data))):
        path.write_bytes(content)
        with pytest.raises(analysis.InputError) as error:
            analysis.load_traces(path)
        assert told in str(error.value)
        assert "\n" not in str(error.value)


def test_a_line_without_end_is_refused_before_it_is_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "LONGEST", 2**20)
    path = tmp_path / "bomb.jsonl.gz"
    packer = zlib.compressobj(1, wbits=31)
    path.write_bytes(b"".join(packer.compress(b"[" * 2**20) for _ in range(64)) + packer.flush())
    with pytest.raises(analysis.InputError, match="a line of over 1 MiB"):
        analysis.load_traces(path)


def test_times_beyond_what_can_be_counted_are_refused(tmp_path: Path) -> None:
    for key, number in (("startTime", 10**17), ("duration", 10**30), ("startTime", -5)):
        value = inputs.jaeger(ONE)
        value["data"][0]["spans"][0][key] = number
        (tmp_path / "far.json").write_bytes(line(value))
        with pytest.raises(analysis.InputError, match="is not nanoseconds since 1970"):
            analysis.load_traces(tmp_path / "far.json")
