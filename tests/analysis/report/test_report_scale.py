"""The report at its edges: many requests, none, findings first, and frames with holes in them."""

import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from tests.analysis.fabricate import Culprit, analysis_of, random_analysis
from whywait.analysis.changes.comparison import compare
from whywait.analysis.model import Analysis, Finding
from whywait.analysis.report.html.report import MAX_TIMELINES, page
from whywait.analysis.report.json.report import MAX_CULPRITS, as_json
from whywait.analysis.report.terminal.diff import render_diff
from whywait.analysis.report.terminal.report import render
from whywait.tracer import schema


def printed(given: Analysis, *, width: int = 120) -> str:
    out = io.StringIO()
    render(given, Console(file=out, width=width, force_terminal=False))
    return out.getvalue()


def test_ten_thousand_requests_stay_a_small_page_and_a_small_json() -> None:
    given = random_analysis(3, 10_000, segments=4)
    assert len(page(given, "report").encode()) < 6_000_000
    told = as_json(given, top=5)
    assert len(json.dumps(told)) < 200_000
    assert [one["wall_ns"] for one in told["slowest"]] == sorted(given.requests["wall_ns"])[:-6:-1]


def crowded(requests: int, activities: int, waits: int) -> Analysis:
    """Ten thousand requests of which the slowest have spans without end: what a page could be made too large by."""
    given = random_analysis(8, requests, segments=6)
    slowest = given.requests.sort_values("wall_ns").tail(MAX_TIMELINES)
    rows = []
    for request in slowest.itertuples():
        step = request.wall_ns // (waits + 1)
        for number in range(activities):
            own = f"{request.request_id[4:]}{number:04x}"
            base = {
                "trace_id": request.trace_id, "parent_id": request.request_id, "service": "shop", "scope": "whywait",
                "span_kind": "internal", "error": False, "links": [],
            }  # fmt: skip
            job = {schema.KIND: schema.KIND_JOB, schema.ACTIVITY: own}
            whole = {"start_ns": request.start_ns, "end_ns": request.end_ns}
            rows.append(base | whole | {"span_id": own, "name": f"job {'n' * 60}", "attributes": job})
            for wait in range(waits):
                begin = request.start_ns + wait * step
                one = {schema.KIND: schema.KIND_WAIT, schema.ACTIVITY: own, schema.WAIT: schema.WAIT_LOCK}
                span = {"span_id": f"{wait:04x}{own[:12]}", "name": "lock wait " + "x" * 80, "attributes": one}
                rows.append(base | span | {"start_ns": begin, "end_ns": begin + step})
    spans = pd.concat([given.spans, pd.DataFrame(rows)], ignore_index=True)
    return replace(given, spans=spans)


def test_a_page_of_crowded_timelines_stays_small_and_says_what_it_left_out() -> None:
    given = crowded(10_000, activities=30, waits=60)
    text = page(given, "report", top=MAX_TIMELINES)
    assert len(text.encode()) < 6_000_000
    assert 1 < text.count('class="card request"') < MAX_TIMELINES
    assert "are not drawn: the page would be too large to open" in text


@pytest.mark.parametrize("width", [80, 50])
def test_a_narrow_terminal_breaks_no_name_of_a_cause_and_no_trace_id(width: int) -> None:
    given = analysis_of({"POST /predict/batch": [{"blocking_io": 250, "pool_shutdown": 20, "unexplained": 3}] * 9})
    lines = [line.rstrip() for line in printed(given, width=width).splitlines()]
    assert max(map(len, lines)) <= width
    for wanted in ("    blocking_io 250 92%", "    pool_shutdown 20.0 7%", "    unexplained 3.0 1%"):
        assert wanted in lines
    assert f"  trace {given.requests['trace_id'].iloc[0]}" in lines
    assert "│" not in "".join(lines)


def test_a_narrow_terminal_has_culprits_whole_and_the_intervals_of_a_difference() -> None:
    given = analysis_of(
        {"GET /a": [{"loop_busy": 250}] * 9}, culprits={"loop_busy": Culprit("rank", "/srv/app/rank.py", 3)}
    )
    lines = printed(given, width=60).splitlines()
    at = lines.index("2,250 ms  rank: loop_busy of 9 requests")
    assert lines[at + 1] == "  app/rank.py:3"
    found, out = (
        compare(given, analysis_of({"GET /a": [{"loop_busy": 150, "pool_shutdown": 9}] * 9}), 50),
        io.StringIO(),
    )
    render_diff(found, (given, given), ("a", "b"), Console(file=out, width=60, force_terminal=False))
    assert "…" not in out.getvalue()
    assert max(map(len, out.getvalue().splitlines())) <= 60
    assert re.search(r"^│loop_busy +│ +250 │ +150 │ +−100│$", out.getvalue(), re.MULTILINE)
    assert re.search(r"^│ +│ +│ +│ *\[−\d", out.getvalue(), re.MULTILINE)


def test_asking_for_every_timeline_does_not_make_a_page_that_nobody_can_open() -> None:
    given = random_analysis(4, MAX_TIMELINES + 30)
    assert page(given, "report", top=1000).count('class="card request"') == MAX_TIMELINES
    slowest = given.requests.sort_values("wall_ns", ascending=False)
    of_each_endpoint = slowest.drop_duplicates("endpoint")  # there are three
    asked = {*slowest["request_id"].head(3), *of_each_endpoint["request_id"]}
    assert page(given, "report", top=3).count('class="card request"') == len(asked)


def test_many_culprits_are_cut_to_the_worst() -> None:
    many = [
        analysis_of({"GET /a": [{"loop_busy": number + 1}]}, culprits={"loop_busy": Culprit(f"f{number}")})
        for number in range(MAX_CULPRITS + 20)
    ]
    given = many[0]
    for one in many[1:]:
        given.culprits.loc[len(given.culprits)] = one.culprits.iloc[0]
    told = as_json(given)["culprits"]
    assert len(told) == MAX_CULPRITS
    assert told[0]["culprit"] == f"f{MAX_CULPRITS + 19}"


@pytest.mark.parametrize("line", [None, 30])
def test_a_culprit_with_and_without_a_line(line: int | None) -> None:
    given = analysis_of({"GET /a": [{"loop_busy": 9}]}, culprits={"loop_busy": Culprit("rank", "r.py", line)})
    given.culprits["culprit_line"] = given.culprits["culprit_line"].astype(object)
    if line is None:
        given.culprits.loc[0, "culprit_line"] = None
    assert as_json(given)["culprits"][0]["line"] == line
    assert ("r.py:30" in page(given, "report")) == (line is not None)
    assert ("r.py:30" in printed(given)) == (line is not None)


def test_nothing_to_report_is_reported() -> None:
    empty = analysis_of({})
    assert as_json(empty)["endpoints"] == []
    assert "0 requests" in page(empty, "report")
    assert "No request was recorded whole, so there is no result." in printed(empty)
    assert "observed" not in printed(empty)


def test_loss_heads_every_report() -> None:
    lost = Finding("records-lost", "The tracer dropped records.", 12)
    given = analysis_of({"GET /a": [{"compute": 9}]}, findings=(lost,))
    text = page(given, "report")
    assert text.index(lost.message) < text.index("Why slow")
    assert printed(given).startswith(f"note: {lost.message} (12 times)")
    assert as_json(given)["findings"][0]["count"] == 12


def test_what_the_machine_could_not_show_is_said() -> None:
    whole = analysis_of({"GET /a": [{"compute": 9}]})
    blind = analysis_of({"GET /a": [{"compute": 9}]}, signals=["loop", "executor", "thread_cpu"])
    assert not any("run-queue" in said["text"] for said in as_json(whole)["not_observed"])
    for text in (page(blind, "report"), printed(blind, width=400), json.dumps(as_json(blind))):
        assert "run-queue" in text
        assert "the GIL" in text


def test_the_timeline_speaks_to_who_cannot_see_it() -> None:
    given = analysis_of({"GET /a": [{"pool_queue": 20, "compute": 10}]}, details={"pool_queue": "pool 'p'"})
    text = page(given, "report")
    lane = text[text.index('class="lane path"') : text.index('class="scale"')]
    assert 'role="group" aria-label="critical path: 2 stretches' in lane
    assert 'title="pool_queue 20.0 ms' in lane
    assert 'title="compute 10.0 ms' in lane
    table = text[text.index("The critical path as a table") :].split("</table>", 1)[0]
    assert table.count("<tr>") == 3
    assert "pool &#39;p&#39;" in table


def test_a_narrow_terminal_gets_narrow_lines() -> None:
    assert max(len(line) for line in printed(random_analysis(1, 20), width=60).splitlines()) <= 60
