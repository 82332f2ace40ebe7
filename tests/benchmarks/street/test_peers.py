"""The rule by which tools are compared, on stretches as their readers give them; no tool runs here."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.street.contract import programs, read
from benchmarks.street.peers import pprof, shown
from benchmarks.street.peers.evidence import AWAITS, RUNS, SPAN, Frame, State, Stretch
from benchmarks.street.peers.read_spans import stretches
from benchmarks.street.peers.readers import whywait
from benchmarks.street.peers.results import section, totals
from benchmarks.street.peers.routes import handlers
from benchmarks.street.peers.rule import Case, score
from benchmarks.street.peers.tools import TOOLS
from benchmarks.street.peers.words import CAUSES

SOURCE = '''"""Slow.

[street]
endpoint = "GET /x"
cause = "CAUSE"
culprit = "hold"
remedy = ""
load = [{path = "/x", n = 3}]
"""


def hold():
    with lock:
        rest()


@app.get("/x")
def answer():
    hold()


@app.get("/other")
def other():
    hold()
'''
FILE = "/srv/slow.py"
SERVER = Frame("/lib/uvicorn/httptools_impl.py", "RequestResponseCycle.run_asgi", 400)
ANSWER, OTHER, HOLD = Frame(FILE, "answer", 19), Frame(FILE, "other", 24), Frame(FILE, "hold", 13)
REST = Frame(FILE, "rest", 2)
ACQUIRE = Frame("/lib/locks.py", "Lock.acquire", 7)


def case(tmp_path: Path, cause: str, truth_ms: float = 100) -> Case:
    file = tmp_path / "slow.py"
    file.write_text(SOURCE.replace("CAUSE", cause))
    return Case(read(file), truth_ms, truth_ms)


def stack(*frames: Frame, ms: float = 90, words: str = "", of_request: bool = False, state: State = RUNS) -> Stretch:
    return Stretch(ms, frames, words, of_request, state)


@pytest.mark.parametrize(
    ("cause", "points", "told"),
    [
        ("lock_wait", 2, [stack(HOLD, ACQUIRE, of_request=True)]),
        ("lock_wait", 2, [stack(HOLD, of_request=True)]),  # the line that it stands at reads "with lock:"
        ("lock_wait", 2, [stack(HOLD, REST, of_request=True), stack(ANSWER, ACQUIRE, of_request=True)]),
        ("lock_wait", 2, [stack(SERVER, ANSWER, HOLD)]),  # the stack leads through the endpoint's function
        ("lock_wait", 2, [stack(SERVER, HOLD)]),  # before the endpoint's function: a middleware
        ("lock_wait", 1, [stack(SERVER, OTHER, HOLD)]),
        ("lock_wait", 1, [stack(HOLD)]),
        ("lock_wait", 1, [stack(HOLD, ms=24, of_request=True), stack(HOLD, ms=30)]),
        ("lock_wait", 1, [stack(ANSWER, ACQUIRE, of_request=True)]),
        ("lock_wait", 1, [stack(words="SELECT 1", of_request=True, state=SPAN)]),
        ("lock_wait", 0, [stack(HOLD, ms=24, of_request=True)]),
        ("lock_wait", 0, [stack(of_request=True, state=SPAN)]),  # that the request was slow is known
        ("lock_wait", 0, [stack(ACQUIRE, of_request=True)]),  # a thread that idles in a library
        ("lock_wait", 0, []),
        ("loop_busy", 2, [stack(OTHER, HOLD, of_request=True)]),
        ("loop_busy", 1, [stack(SERVER, ANSWER, HOLD)]),  # which request it delayed is not said
        ("compute", 2, [stack(ANSWER, HOLD, Frame("/lib/json.py", "dumps"))]),
        ("compute", 1, [stack(ANSWER, HOLD, Frame("/lib/socket.py", "recv_into"))]),
        ("compute", 1, [stack(ANSWER, HOLD, Frame("/lib/json.py", "dumps"), state=AWAITS)]),
        ("await_io", 2, [stack(ANSWER, HOLD, Frame("/lib/httpx.py", "AsyncClient.get"), state=AWAITS)]),
        ("none", 2, [stack(HOLD, ms=4), stack(ms=500, of_request=True)]),
        ("none", 2, [stack(ANSWER, words="websocket.receive", ms=500, of_request=True, state=SPAN)]),
        ("none", 2, [stack(Frame(FILE, "<module>", 1), ms=500)]),  # the import
        ("none", 0, [stack(HOLD, ms=500)]),
    ],
)
def test_points(tmp_path: Path, cause: str, points: int, told: Sequence[Stretch]) -> None:
    result = score(case(tmp_path, cause), told)
    assert result.points == points, result.evidence


def test_the_name_of_a_program_tells_no_cause(tmp_path: Path) -> None:
    file = tmp_path / "a_lock.py"
    file.write_text(SOURCE.replace("CAUSE", "lock_wait"))
    told = [stack(Frame(f"/srv/{file.name}", "hold", 14), words="a_lock.hold", of_request=True)]
    assert score(Case(read(file), 100, 100), told).points == 1


def test_what_was_shown_is_read_as_it_was_kept(tmp_path: Path) -> None:
    here, stretches = (
        case(tmp_path, "lock_wait"),
        [stack(ANSWER, HOLD, words="x"), stack(of_request=True, state=AWAITS)],
    )
    shown.keep(tmp_path / "folder", "py-spy", here, stretches)
    assert shown.read(tmp_path / "folder", "py-spy", here.program) == (here, stretches)
    assert shown.read(tmp_path / "folder", "sentry", here.program) is None


def test_every_program_has_its_cause_in_the_table_and_a_handler_for_its_endpoint() -> None:
    for one in programs():
        assert one.cause in {*CAUSES, "none"}
        assert one.endpoint.partition(" ")[2] in handlers("\n".join(one.source)).values(), one.name


def test_whywait_is_scored_by_its_own_words(tmp_path: Path) -> None:
    told = {
        "cause": "lock_wait", "amount_ns": 90_000_000, "culprit": "hold()", "file": FILE, "line": 13,
        "detail": "x", "remedy": {"text": "y"},
    }  # fmt: skip
    here = case(tmp_path, "lock_wait")

    def points(**other: Any) -> int:
        report = {"endpoints": [{"endpoint": "GET /x", "reasons": [{**told, **other}]}]}
        return score(here, whywait(here.program, report)).points

    assert points() == 2
    assert points(culprit="another") == 1
    assert points(cause="gil_wait") == 1
    assert points(amount_ns=20_000_000) == 0


def test_a_span_is_its_own_time_below_its_request(tmp_path: Path) -> None:
    def span(name: str, begin: int, end: int, parent: str = "", **attributes: Any) -> dict[str, Any]:
        return {"name": name, "id": name, "begin_ns": begin, "end_ns": end, "parent": parent, "attributes": attributes}

    code = {"code.filepath": "slow.py", "code.function": "hold", "code.lineno": 12}
    spans = [
        span("GET /x", 0, 100_000_000), span("hold", 10_000_000, 90_000_000, "GET /x", **code),
        span("SELECT", 20_000_000, 80_000_000, "hold"), span("alone", 0, 30_000_000),
    ]  # fmt: skip
    found = {(one.words, one.ms, one.of_request) for one in stretches(case(tmp_path, "await_io").program, spans, 3)}
    assert found == {("", 20, True), ("hold", 20, True), ("hold SELECT", 60, True), ("alone", 10, False)}


def test_pprof(tmp_path: Path) -> None:
    def field(number: int, value: int | bytes) -> bytes:
        if isinstance(value, int):
            return bytes([number << 3]) + (bytes([value]) if value < 128 else bytes([value & 127 | 128, value >> 7]))
        return bytes([number << 3 | 2, len(value)]) + value

    texts = [b"", b"wall-time", b"nanoseconds", b"hold", b"slow.py", b"task name", b"Task-1", b"main"]
    sample = field(1, bytes([1, 2])) + field(2, bytes([0xE8, 0x07])) + field(3, field(1, 5) + field(2, 6))
    file = tmp_path / "one.pprof"
    file.write_bytes(
        field(1, field(1, 1) + field(2, 2)) + field(2, sample)
        + field(4, field(1, 1) + field(4, field(1, 1) + field(2, 300)))
        + field(4, field(1, 2) + field(4, field(1, 2) + field(2, 9)))
        + field(5, field(1, 1) + field(2, 3) + field(4, 4)) + field(5, field(1, 2) + field(2, 7) + field(4, 4))
        + b"".join(field(6, text) for text in texts)
    )  # fmt: skip
    frames = (Frame("slow.py", "main", 9), Frame("slow.py", "hold", 300))
    assert pprof.read(file) == [pprof.Sample(frames, {"wall-time": 1000}, {"task name": "Task-1"})]


def test_the_section_says_who_is_ahead_and_totals_are_of_what_all_were_run_on() -> None:
    two, one = {"points": 2, "evidence": "hold > acquire"}, {"points": 1, "evidence": "x"}
    known = {
        "sleep_in_async": dict.fromkeys(TOOLS, two) | {"whywait": one, "sentry": one},
        "hashing_on_loop": dict.fromkeys(TOOLS, one) | {"whywait": two},
        "two_upstreams": dict.fromkeys(TOOLS, two) | {"py-spy": {"points": None, "evidence": "failed"}},
    }
    assert totals(known)["whywait"] == (3, 4)
    assert totals(known)["sentry"] == (2, 4)
    assert totals(known)["py-spy"] == (3, 4)
    told = "\n".join(section(programs(), {"programs": known, "conditions": {"packages": {}}}))
    assert f"Run under all tools: 2 of {len(programs())} programs" in told
    assert "- **sleep_in_async**, py-spy 2: hold > acquire. whywait 1: x" in told
    assert "- **sleep_in_async**, sentry" not in told
    assert "- **hashing_on_loop**" not in told
    assert section(programs(), {}) == []
