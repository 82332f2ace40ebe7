"""Chrome trace JSON: amounts exact, slices nested on every track, arrows from the waker to the woken."""

import io
import json
from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.cli.test_cli import GOOD, refused, whywait
from tests.analysis.drawing import drawn
from tests.analysis.report.test_report import HOSTILE
from whywait import analysis
from whywait.analysis.report.perfetto import write_perfetto
from whywait.analysis.report.perfetto.slices import RUNNING, running
from whywait.analysis.report.perfetto.tracks import Slice, lanes
from whywait.tracer import schema

AWAITED = """
    server GET        |------------------------|
    task   root       |------------------------|     cpu=4
    wait   w    root    |-----------------|          type=await waker=job
    wait   busy root                      |--|       type=loop_busy
    job    job  root    |-----------------|
    wait   q    job     |--------|                   type=pool_queue
    run    run  job              |--------|          cpu=6
    wait   io   job                |----|            type=blocking_io
"""


def exported(told: analysis.Analysis, detail: int = 5) -> dict[str, Any]:
    stream = io.StringIO()
    write_perfetto(told, stream, detail=detail)
    return dict(json.loads(stream.getvalue()))


def slices(trace: dict[str, Any]) -> dict[tuple[str, str], list[tuple[str, int, int, int]]]:
    """By names of group and track: name, start, end in ns, and depth; checked to nest as they were written."""
    groups = {one["pid"]: one["args"]["name"] for one in trace["traceEvents"] if one["name"] == "process_name"} if (
        trace["traceEvents"]) else {}  # fmt: skip
    tracks = {
        (one["pid"], one["tid"]): one["args"]["name"]
        for one in trace["traceEvents"]
        if one.get("name") == "thread_name"
    }
    found: dict[tuple[str, str], list[tuple[str, int, int, int]]] = defaultdict(list)
    for (pid, tid), name in tracks.items():
        stack: list[tuple[str, int]] = []
        latest = 0
        for event in trace["traceEvents"]:
            if event.get("pid") != pid or event.get("tid") != tid or event["ph"] not in "BE":
                continue
            at = round(event["ts"] * 1000)
            assert at >= latest, "events of a track are in order of time"
            latest = at
            if event["ph"] == "B":
                stack.append((event["name"], at))
            else:
                title, start = stack.pop()
                found[groups[pid], name].append((title, start, at, len(stack)))
        assert not stack
    return found


def named(trace: dict[str, Any]) -> dict[str, Any]:
    trace["traceEvents"] = [{"name": "", **one} for one in trace["traceEvents"]]
    return trace


def test_a_request_its_causes_its_threads_and_its_activities() -> None:
    told = analysis.analyze(drawn(AWAITED, {"run": {schema.THREAD_NAME: "predict_0", schema.THREAD_ID: 77}}))
    found = slices(named(exported(told)))
    (request,) = [rows for (group, _), rows in found.items() if group.startswith("requests")]
    assert [row for row in request if row[3] == 0] == [("GET", 0, 25 * 10**6, 0)]
    causes: dict[str, int] = defaultdict(int)
    for name, start, end, depth in request:
        if depth == 1:
            causes[name] += end - start
    assert causes == told.causes.groupby("cause")["amount_ns"].sum().to_dict()
    thread = {row[0] for (_, track), rows in found.items() if track == "predict_0 77" for row in rows}
    assert thread == {"run", "blocking_io", RUNNING}
    (root,) = [rows for (_, track), rows in found.items() if track == "root"]
    assert {row[0] for row in root} == {"root", "awaiting", "loop_busy", RUNNING}


def test_arrows_lead_from_the_waker_to_the_woken() -> None:
    trace = exported(analysis.analyze(drawn(AWAITED, {"run": {schema.THREAD_NAME: "t", schema.THREAD_ID: 7}})))
    tracks = {
        (one["pid"], one["tid"]): one["args"]["name"]
        for one in trace["traceEvents"] if one.get("name") == "thread_name"
    }  # fmt: skip
    ends: dict[tuple[str, int], dict[str, tuple[str, float]]] = defaultdict(dict)
    for one in trace["traceEvents"]:
        if one["ph"] in "sf":
            ends[one["name"], one["id"]][one["ph"]] = (tracks[one["pid"], one["tid"]], one["ts"] * 1000)
    ms = 10**6
    assert [(name, ends[name, number]) for name, number in sorted(ends, reverse=True)] == [
        ("wakes", {"s": ("t 7", 20 * ms - 1), "f": ("root", 20 * ms)}),
        ("runs on", {"s": ("job", 2 * ms), "f": ("t 7", 11 * ms)}),
    ]


def test_hostile_names_lose_their_control_characters() -> None:
    spans = drawn(AWAITED, {"run": {schema.THREAD_NAME: HOSTILE, schema.CODE_FUNCTION: HOSTILE}})
    text = io.StringIO()
    write_perfetto(analysis.analyze(spans.assign(name=HOSTILE)), text)
    for character in ("\\u001b", "\\u0007", "\\u202e", "\x1b"):
        assert character not in text.getvalue()
    json.loads(text.getvalue())


SLICES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 15), st.sampled_from(["wait", "phase", "run"])), max_size=25
)


@given(SLICES)
def test_lanes_keep_every_slice_and_nest(drawn_slices: list[tuple[int, int, str]]) -> None:
    given_slices = [Slice(at, at + length, "s", kind) for at, length, kind in drawn_slices]
    placed = lanes(given_slices)
    assert sorted((one.start_ns, one.end_ns) for lane in placed for one in lane) == sorted(
        (one.start_ns, one.end_ns) for one in given_slices if one.end_ns > one.start_ns
    )
    for lane in placed:
        for one in lane:
            for other in lane:
                apart = one.end_ns <= other.start_ns or other.end_ns <= one.start_ns
                nested = (one.start_ns <= other.start_ns and other.end_ns <= one.end_ns) or (
                    other.start_ns <= one.start_ns and one.end_ns <= other.end_ns
                )
                assert apart or nested


@given(SLICES)
def test_running_and_waiting_tile_an_activity(drawn_slices: list[tuple[int, int, str]]) -> None:
    around = Slice(5, 30, "task", "task")
    inside = [Slice(at, at + length, "s", kind) for at, length, kind in drawn_slices if length]
    ran = running(around, inside)
    for moment in range(around.start_ns, around.end_ns):
        waited = any(one.category == "wait" and one.start_ns <= moment < one.end_ns for one in inside)
        assert sum(one.start_ns <= moment < one.end_ns for one in ran) == (not waited)
    for one in ran:  # on the same lane as what it is beside
        assert all(
            other.end_ns <= one.start_ns or other.start_ns >= one.end_ns
            or (other.start_ns <= one.start_ns and one.end_ns <= other.end_ns)
            for other in inside
        )  # fmt: skip


def test_the_command_writes_a_file_or_a_pipe(tmp_path: Any) -> None:
    source, target = tmp_path / "traces.jsonl", tmp_path / "out.json"
    source.write_text(GOOD)
    done = whywait("export", "--perfetto", str(target), str(source))
    assert done.returncode == 0, done.stderr
    assert "1 request, " in done.stderr
    piped = whywait("export", "--perfetto", "-", "-", stdin=GOOD)
    assert json.loads(piped.stdout) == json.loads(target.read_text())
    refused(whywait("export", "--perfetto", str(target), str(source), "--endpoint", "/nope"), "GET /")
    refused(whywait("export", str(source)), "--perfetto")
    refused(whywait("export", "--perfetto", str(tmp_path / "no" / "o.json"), str(source)), "o.json")


@pytest.mark.parametrize("detail", [0, 1])
def test_a_foreign_trace_has_its_spans(detail: int) -> None:
    told = analysis.analyze(drawn("server GET |------|\nplain db GET  |--|\n".replace("|------|", "     |------|")))
    found = slices(named(exported(told, detail)))
    names = {row[0] for rows in found.values() for row in rows}
    assert ("db" in names) == bool(detail)
