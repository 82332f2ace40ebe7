"""What clients felt and what the handler took of it stand wherever times are told, and only one where they are one."""

import io

import pytest
from rich.console import Console

from tests.analysis.fabricate import MS, analysis_of
from whywait.analysis import figures
from whywait.analysis.changes.comparison import compare
from whywait.analysis.changes.sentences import headline
from whywait.analysis.figures import tables
from whywait.analysis.live.counting import Counted
from whywait.analysis.live.window import Window
from whywait.analysis.model import Analysis
from whywait.analysis.report.html.report import page
from whywait.analysis.report.json.diff import diff_as_json
from whywait.analysis.report.perfetto.slices import request_slice
from whywait.analysis.report.terminal.live import Size, Told, screen
from whywait.analysis.report.terminal.report import render

FELT, SAME = {"ingress_wait": 930.0, "await_io": 61.0}, {"await_io": 991.0}


def given(amounts: dict[str, float], count: int = 5) -> Analysis:
    return analysis_of({"GET /x": [amounts] * count})


def printed(analysis: Analysis, width: int) -> str:
    out = io.StringIO()
    render(analysis, Console(file=out, width=width))
    return " ".join(out.getvalue().split())


@pytest.mark.parametrize("width", [80, 160])
def test_the_terminal_tells_both(width: int) -> None:
    both, one = printed(given(FELT), width), printed(given(SAME), width)
    table = both.partition("Where the time of each endpoint")[2]
    assert "991" in table
    assert "61.0" in table
    assert "in the handler" in table
    assert "felt by clients" in both
    assert "in the handler" not in one


def test_the_page_tells_both() -> None:
    both = page(given(FELT), "run")
    assert "991 ms felt by the client, 61.0 ms in the handler" in both
    assert "felt by clients (61.0 ms and 61.0 ms in the handler)" in both
    assert "in the handler" not in page(given(SAME), "run")


@pytest.mark.parametrize("columns", [80, 140])
def test_the_live_view_tells_both(columns: int) -> None:
    def shown(handler_ms: int) -> str:
        window = Window(10)
        request = Counted("GET /x", "t", 0, 991 * MS, handler_ms * MS, 1.0, {"ingress_wait": 930 * MS}, {})
        window.add(2.0, [request] * 3)
        out = io.StringIO()
        told = Told("traces", {}, "", 1, "", "12:00:00")
        Console(file=out, width=columns).print(screen(window.view(), told, Size(columns, None)))
        return " ".join(out.getvalue().split())

    assert "in the handler" in shown(61)
    assert "in the handler" not in shown(991)
    assert "in the handler" not in shown(985)


def test_the_comparison_is_of_felt_times_and_tells_the_handlers() -> None:
    before, after = given(FELT, 400), given({"ingress_wait": 100, "await_io": 61}, 400)
    found = compare(before, after)
    (change,) = found.changes
    assert (change.before_ns, change.after_ns) == (991 * MS, 161 * MS)
    assert headline(change, 95).startswith(
        "p95 991 → 161 ms felt by clients, 61.0 → 61.0 ms in the handler (400 requests"
    )
    (told,) = diff_as_json(found, (before, after))["endpoints"]
    assert (told["handler_before_ns"], told["handler_after_ns"]) == (61 * MS, 61 * MS)
    (same,) = compare(given(SAME, 400), given(SAME, 400)).changes
    assert "in the handler" not in headline(same, 95)


def test_the_notebook_tells_both() -> None:
    both, one = given(FELT), given(SAME)
    bars = figures.where_time_went({"run": both})
    assert {note.text for note in bars.layout.annotations} == {" 991 ms felt by the client, 61.0 ms in the handler"}
    assert {note.text for note in figures.where_time_went({"run": one}).layout.annotations} == {" 991 ms"}
    assert "61.0 ms in the handler" in figures.request_timeline(both).layout.title.text
    assert tables.verdicts({"run": both}).data["p50 ms"].tolist() == ["991.0 felt by clients, 61.0 in the handler"]
    assert tables.verdicts({"run": one}).data["p50 ms"].tolist() == [991.0]


def test_perfetto_tells_both() -> None:
    (row,) = given(FELT, 1).requests.to_dict("records")
    args = request_slice({str(key): value for key, value in row.items()}).args
    assert (args["felt by the client, ms"], args["in the handler, ms"]) == ("991", "61.0")
