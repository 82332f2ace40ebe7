"""Lines as people write them, and as nobody should: every answer is bounded and clear."""

import io
import json
import time
from pathlib import Path

import pytest

from whywait.analysis.errors import InputError
from whywait.analysis.logs import LogReading, read_logs
from whywait.analysis.logs.reading import LONGEST_LINE


def read(folder: Path, text: str | bytes, **options: object) -> LogReading:
    path = folder / "service.log"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_logs(str(path), **options)  # type: ignore[arg-type]


def labels(reading: LogReading) -> list[tuple[str, float]]:
    (request,) = reading.requests
    return [(one.label, one.ns / 1e6) for one in request.stretches]


@pytest.mark.parametrize(
    "text",
    [
        "2025-05-14 09:00:00,000 - INFO - requestID: 7, TS_BEFORE_DF: 1747213340.000\n"
        "2025-05-14 09:00:00,500 - INFO - requestID: 7, TS_AFTER_DF: 1747213340.500, delta: 500ms\n",
        "ts=2025-05-14T09:00:00.000Z level=info request_id=7 event=df_start\n"
        "ts=2025-05-14T09:00:00.500Z level=info request_id=7 event=df_done duration_ms=500\n",
        json.dumps({"timestamp": "2025-05-14T09:00:00.000Z", "request_id": "7", "event": "start_df"}) + "\n"
        + json.dumps({"timestamp": 1747213200.5, "request_id": "7", "event": "end_df", "duration_ms": 500.0}),
        json.dumps({"asctime": "2025-05-14 09:00:00,000", "message": "req_id=7 phase=df.begin"}) + "\n"
        + json.dumps({"asctime": "2025-05-14 09:00:00,500", "message": "req_id=7 phase=df.end took 500 ms"}),
    ],
    ids=["story", "logfmt", "json", "json-message"],
)  # fmt: skip
def test_common_formats(tmp_path: Path, text: str) -> None:
    reading = read(tmp_path, text)
    assert [(label.lower(), ms) for label, ms in labels(reading)] == [("df", 500.0)]
    assert reading.requests[0].request == "7"
    assert reading.findings == ()


def test_a_pattern_of_ones_own(tmp_path: Path) -> None:
    text = "09:00:00.000 [42] > rank\n09:00:00.250 [42] < rank 250\nnoise\n"
    begun, ended = (r"\[(?P<request>\d+)\] > (?P<name>\w+)", r"\[(?P<request>\d+)\] < (?P<name>\w+) (?P<total>\d+)")
    assert labels(read(tmp_path, text, patterns=[begun, ended])) == [("rank → rank", 250.0)]
    two = "09:00:00.000 [42] > a\n09:00:00.250 [42] > b\n"
    with pytest.raises(InputError, match="its markers are: a, b"):
        read(tmp_path, two, patterns=[begun], markers=["none"])


@pytest.mark.parametrize(
    ("patterns", "said"),
    [
        (["(?P<name>"], "no regular expression"),
        (["(?P<nome>x)"], "nome"),
        (["(?P<request>x)"], r"\(\?P<name>"),
        (["(?P<name>never)"], "no --pattern found"),
    ],
)
def test_patterns_that_cannot_be_used_say_why(tmp_path: Path, patterns: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, "09:00:00.000 hello\n", patterns=patterns)


@pytest.mark.parametrize(
    ("text", "said"), [("", "empty"), ("hello\n" * 5, "none of the 5 lines"), (b"\0\xff" * 50, "none")]
)
def test_what_holds_nothing_says_what_was_expected(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_logs(str(tmp_path / "nowhere.log"))


@pytest.mark.parametrize(
    "hostile",
    ["requestID: " + "a" * 9_000, "TS_" + "B_" * 4_000, "9" * 9_500, " " * 9_000 + "total", "total " * 1_500,
     "{" * 9_000, "[" * 9_000, "12:" * 3_000, '{"a":' * 1_500, "request_id=1 took 1 took 1 " * 300],
    ids=str.__len__,
)  # fmt: skip
def test_hostile_lines_take_no_time(tmp_path: Path, hostile: str) -> None:
    good = "requestID: 7, TS_START: 1747213340.1\nrequestID: 7, TS_END: 1747213340.3\n"
    begun = time.process_time()
    reading = read(tmp_path, good + (hostile + "\n") * 50)
    assert time.process_time() - begun < 20
    assert "7" in [one.request for one in reading.requests]


def test_one_endless_line_is_cut_and_told(tmp_path: Path) -> None:
    good = b"requestID: 7, TS_START: 1747213340.1\n%srequestID: 7, TS_END: 1747213340.3\n"
    reading = read(tmp_path, good % (b"y" * (LONGEST_LINE * 30) + b"\n"))
    assert [one.code for one in reading.findings] == ["long-line"]
    assert reading.lines == 3


def test_many_lines_of_one_request_cost_no_more_each(tmp_path: Path) -> None:
    def cost_s(lines: int) -> float:
        text = "".join(
            f"requestID: 7, TS_{'BEFORE' if n % 2 else 'AFTER'}_X{n // 2}: 1747213340.{n:06}\n"
            f"2025-05-14 09:02:20,000 requestID: 7 plain\n" for n in range(lines)
        )  # fmt: skip
        begun_s = time.thread_time()
        assert len(read(tmp_path, text).requests) == 1
        return time.thread_time() - begun_s

    few, many = (min(cost_s(lines) for _ in range(3)) for lines in (1_500, 12_000))
    assert many < 3 * 8 * few  # eight times the lines; were each compared with each, 64 times the cost


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    text = b"requestID: 7, TS_BEFORE_X: 1747213340.1\nrequestID: 7, TS_AFTER_X: 1747213340.3\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert labels(read_logs("-")) == [("X", 200.0)]


@pytest.mark.parametrize("said", ["took 0.3", "duration=0.3", "elapsed: 0.3"])
def test_a_number_without_a_unit_is_no_duration(tmp_path: Path, said: str) -> None:
    text = (
        "2025-05-14 09:00:00,000 request_id=7 event=df_start\n"
        f"2025-05-14 09:00:00,300 request_id=7 event=df_end {said}\n"
    )
    reading = read(tmp_path, text)  # seconds here, which would differ from the clock if they were milliseconds
    assert labels(reading) == [("df", 300.0)]
    assert reading.findings == ()


@pytest.mark.parametrize(
    ("line", "took_ms"),
    [
        ("2026-11-29 10:00:00,017 INFO app: request {} took 0.25 s", 250),  # logging's default time
        (
            '{{"timestamp": "2026-11-29T10:00:00.017Z", "request_id": "r{}", "message": "done", "duration_ms": 250}}',
            250,
        ),
        ("2026-11-29T10:00:00Z [job-{}] finished, took 1.5 s", 1500),
    ],
)
def test_the_pattern_that_is_proposed_reads_the_file(tmp_path: Path, line: str, took_ms: int) -> None:
    text = "".join(line.format(number) + "\n" for number in range(5))
    with pytest.raises(InputError, match="--pattern ") as refused:
        read(tmp_path, text)
    proposed = str(refused.value).partition("--pattern '")[2].rstrip("'")
    reading = read(tmp_path, text, patterns=[proposed])
    assert [(one.lines, one.wall_ns / 1e6) for one in reading.requests] == [(1, took_ms)] * 5


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('INFO:     127.0.0.1:5000 - "GET /x HTTP/1.1" 200 OK', "begins with a time"),  # uvicorn
        ('127.0.0.1 - - [29/Nov/2026:10:00:00 +0000] "GET /x HTTP/1.1" 200 12 "-" "curl/8"', "request id"),  # gunicorn
        ('{"ts": 1795946400.1, "msg": "done", "request_id": "r1", "duration": 0.25}', "request id"),  # s or ms?
    ],
)
def test_what_cannot_be_read_says_what_is_missing(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refused:
        read(tmp_path, (line + "\n") * 5)
    assert "(?P<total>" not in str(refused.value)
