"""Cells from drawn analyses: which requests belong to a cell, what their time went to, what is told."""

import io
from dataclasses import replace

import pandas as pd
import pytest
from rich.console import Console

from demo_service.chapters import foretold
from demo_service.chapters.story_cells import cells_of, comparison, label, only_cells
from demo_service.chapters.story_report import as_json, comparison_text, felt_text, table
from demo_service.load import LoadResult
from demo_service.settings import CLIENT_REQUEST, Settings
from whywait.analysis import Analysis, InputError, Prediction
from whywait.analysis.model import CAUSE_COLUMNS, CULPRIT_COLUMNS, REQUEST_COLUMNS, SPAN_COLUMNS, Finding
from whywait.analysis.prediction.whatif import Range

MS = 1_000_000
S = 1000 * MS


def frame(columns: tuple[str, ...], rows: list[dict[str, object]]) -> pd.DataFrame:
    return pd.DataFrame([{name: row.get(name) for name in columns} for row in rows], columns=list(columns))


def drawn(*requests: tuple[str, str, int, dict[str, int]], incomplete: tuple[str, ...] = ()) -> Analysis:
    """Requests as (id, mode, start in s, {cause: ms}); their clients name them by the same id."""
    request_rows, cause_rows, span_rows = [], [], []
    for name, mode, start_s, causes in requests:
        endpoint, wall_ns = f"POST /predict/{mode}", sum(causes.values()) * MS
        common = {"trace_id": f"t{name}", "request_id": name, "endpoint": endpoint, "weight": 1.0}
        request_rows.append({**common, "start_ns": start_s * S, "wall_ns": wall_ns, "incomplete": name in incomplete})
        span_rows.append({"trace_id": f"t{name}", "attributes": {CLIENT_REQUEST: name}})
        if name not in incomplete:
            cause_rows += [{**common, "cause": cause, "amount_ns": ms * MS} for cause, ms in causes.items()]
    return Analysis(
        requests=frame(REQUEST_COLUMNS, request_rows),
        causes=frame(CAUSE_COLUMNS, cause_rows),
        culprits=frame(CULPRIT_COLUMNS, []),
        spans=frame(SPAN_COLUMNS, [*span_rows, {"trace_id": "of nobody", "attributes": {}}]),
        findings=(Finding("f", "said once"),),
    )


def seen(mode: str, clients: int, start_s: int, end_s: int, *latencies_ms: int) -> LoadResult:
    latencies_ns = tuple(one * MS for one in latencies_ms)
    ids = tuple(f"{mode}-{clients}-{number}" for number in range(len(latencies_ns)))
    return LoadResult(mode, clients, start_s * S, end_s * S, latencies_ns, 0, "", ids)


def test_a_request_belongs_to_the_cell_whose_client_named_it() -> None:
    analysis = drawn(
        ("warm", "batch", 1, {"compute": 5}),
        ("batch-1-0", "batch", 10, {"compute": 5}),
        ("other", "to_thread", 11, {"compute": 5}),
        ("batch-1-1", "batch", 12, {"compute": 5}),
        ("batch-4-0", "batch", 12, {"compute": 5}),
    )
    found = only_cells(analysis, [seen("batch", 1, 10, 13, 5, 5), seen("batch", 4, 20, 23, 5)])
    one, four = label("batch", 1), label("batch", 4)
    assert dict(zip(found.requests["request_id"], found.requests["endpoint"], strict=True)) == {
        "batch-1-0": one, "batch-1-1": one, "batch-4-0": four,
    }  # fmt: skip
    assert list(found.causes["endpoint"]) == [one, one, four]
    assert found.findings == analysis.findings
    assert len(analysis.requests) == 5  # the input is as it was
    assert set(analysis.requests["endpoint"]) == {"POST /predict/batch", "POST /predict/to_thread"}


def test_means_and_shares_are_of_the_whole_requests() -> None:
    results = [seen("batch", 4, 10, 20, 7, 9, 1000)]
    analysis = drawn(
        ("batch-4-0", "batch", 11, {"compute": 6, "pool_queue": 2}),
        ("batch-4-1", "batch", 12, {"compute": 2, "pool_queue": 6, "unexplained": 4}),
        ("batch-4-2", "batch", 13, {"compute": 1000}),
        incomplete=("batch-4-2",),
    )
    (cell,) = cells_of(only_cells(analysis, results), results)
    assert (cell.traced, cell.incomplete) == (2, 1)
    assert cell.felt_p50_ns == 8 * MS  # one that happened, as of the clients
    assert {one.cause: (one.mean_ns, one.share) for one in cell.causes} == {
        "compute": (4 * MS, 0.4), "pool_queue": (4 * MS, 0.4), "unexplained": (2 * MS, 0.2),
    }  # fmt: skip


def test_what_is_told_is_held_against_what_each_client_measured() -> None:
    results = [seen("batch", 4, 10, 20, 20, 30, 40, 10)]
    analysis = drawn(
        ("batch-4-0", "batch", 11, {"compute": 18}),
        ("batch-4-1", "batch", 12, {"compute": 33}),
        ("batch-4-2", "batch", 13, {"compute": 40}),
        ("of nobody's client", "batch", 14, {"compute": 500}),
        incomplete=("batch-4-2",),
    )
    (cell,) = cells = cells_of(only_cells(analysis, results), results)
    assert cell.told_ns == (18 * MS, 33 * MS, 0, 0)
    assert cell.accounted == 0.48  # beyond what was measured is not told of it
    assert cell.errors_ns == (2 * MS, 3 * MS)
    text = felt_text(cells)
    assert text.startswith("By their own clocks the clients waited 0.1 s; by the traces of the service they felt 0.1 s")
    assert "at least 48.0%, batch × 4 clients" in text
    assert "differ by 2.0 ms per request at p50, 3.0 ms at p95" in text
    assert "traced" in felt_text([])


@pytest.fixture
def story() -> tuple[Analysis, list[LoadResult]]:
    results = [
        seen("to_thread", 1, 10, 20, 50),
        seen("to_thread", 16, 20, 30, 900, 1000, 1100),
        seen("batch", 16, 40, 50, 100, 100, 100),
    ]
    analysis = drawn(
        ("to_thread-1-0", "to_thread", 11, {"compute": 50}),
        ("to_thread-16-0", "to_thread", 21, {"pool_queue": 800, "compute": 100, "unexplained": 100}),
        ("batch-16-0", "batch", 41, {"pool_queue": 20, "compute": 60, "unexplained": 20}),
    )
    return only_cells(analysis, results), results


def test_the_comparison_is_at_the_most_clients_and_says_why(story: tuple[Analysis, list[LoadResult]]) -> None:
    found = comparison(cells_of(*story))
    assert found is not None
    assert found.factor == 10
    assert found.saved == (
        ("pool_queue", 800 * MS, 20 * MS), ("unexplained", 100 * MS, 20 * MS), ("compute", 100 * MS, 60 * MS),
    )  # fmt: skip
    text = comparison_text(found)
    assert text.startswith("With 16 clients, batch answers 10.0× faster than to_thread at p50")
    assert "pool_queue 800 → 20.0 ms (87% of the saving)" in text


def test_what_speaks_against_the_batch_is_told_and_noise_is_not() -> None:
    results = [seen("to_thread", 4, 10, 20, 1000), seen("batch", 4, 30, 40, 200)]
    analysis = drawn(
        ("to_thread-4-0", "to_thread", 11, {"pool_queue": 900, "compute": 10, "gc_pause": 2}),
        ("batch-4-0", "batch", 31, {"pool_queue": 60, "compute": 52, "gc_pause": 1}),
    )
    found = comparison(cells_of(only_cells(analysis, results), results))
    assert found is not None
    text = comparison_text(found)
    assert "pool_queue 900 → 60.0 ms (105% of the saving)." in text
    assert text.endswith(" Against it: compute 10.0 → 52.0 ms.")
    assert "gc_pause" not in text


def test_a_batch_that_is_not_faster_is_not_praised() -> None:
    results = [seen("to_thread", 4, 10, 20, 50), seen("batch", 4, 30, 40, 60)]
    analysis = drawn(("to_thread-4-0", "to_thread", 11, {"compute": 50}), ("batch-4-0", "batch", 31, {"compute": 60}))
    found = comparison(cells_of(only_cells(analysis, results), results))
    assert found is not None
    assert "was not faster" in comparison_text(found)


def test_nothing_is_compared_where_one_side_is_missing() -> None:
    results = [seen("batch", 4, 10, 20, 50)]
    cells = cells_of(only_cells(drawn(("batch-4-0", "batch", 11, {"compute": 50})), results), results)
    assert comparison(cells) is None
    assert comparison([]) is None


def test_a_cell_without_traces_says_so(story: tuple[Analysis, list[LoadResult]]) -> None:
    analysis, results = story
    cells = cells_of(analysis, [*results, seen("microbatch", 16, 60, 70, 10)])
    assert (cells[-1].traced, cells[-1].causes) == (0, ())
    output = io.StringIO()
    Console(file=output, width=140).print(table(cells))
    lines = output.getvalue().splitlines()
    assert "no request was traced" in next(line for line in lines if "microbatch" in line)
    (threaded,) = [line for line in lines if "to_thread" in line and " 16 " in line]
    assert "pool_queue 800 80%" in threaded.replace("\N{NO-BREAK SPACE}", " ")
    assert "100, 10%" in threaded


def test_the_json_holds_every_cell(story: tuple[Analysis, list[LoadResult]]) -> None:
    cells = cells_of(*story)
    said = as_json(cells, comparison(cells), ["one"])
    assert [(one["mode"], one["clients"], one["client_p50_ms"]) for one in said["cells"]] == [
        ("to_thread", 1, 50.0), ("to_thread", 16, 1000.0), ("batch", 16, 100.0),
    ]  # fmt: skip
    assert said["comparison"]["factor_p50"] == 10
    assert said["verdicts"] == ["one"]


def test_a_mode_is_predicted_from_the_one_before_and_what_its_calls_cost_from_fewer_clients(
    story: tuple[Analysis, list[LoadResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def predicted(analysis: Analysis, **change: object) -> Prediction:
        asked.append((set(analysis.spans["trace_id"]), set(analysis.requests["request_id"]), change))
        one, rate = Range(1000 * MS, 150 * MS, 90 * MS, 200 * MS), Range(20, 18.4, 15, 22)
        return Prediction(one, one, rate, 1, 16, 0.01)

    monkeypatch.setattr(foretold, "whatif", predicted)
    analysis, _ = story
    results = [*story[1], seen("batch", 1, 60, 70, 100)]
    cells = cells_of(analysis, results)
    at_s = {"tto_thread-1-0": 11, "tto_thread-16-0": 21, "tbatch-16-0": 41, "of nobody": 65}
    spans = analysis.spans.assign(start_ns=[at_s[one] * S for one in analysis.spans["trace_id"]])
    said = foretold.foretold_text(replace(analysis, spans=spans), cells, Settings())
    # what no client asked for, as a batcher's work, belongs to the recording in whose time it is
    costs = {"batch": ["Predictor.predict_one=Predictor.predict_many"]}
    assert asked == [({"tto_thread-1-0", "tto_thread-16-0", "of nobody"}, {"to_thread-16-0"}, costs)]
    assert said.splitlines() == [
        "Predicted from the mode before (95% interval), and measured, with 16 clients:",
        "  to_thread → batch (one call for a request's 14 jobs): p50 1000.0 → 150.0 ms (90.0 to 200.0), measured 100.0 ms; "
        "18.4 requests/s (15.0 to 22.0), measured 0.3",
    ]


def test_what_cannot_be_predicted_is_told_with_its_reason(
    story: tuple[Analysis, list[LoadResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(analysis: Analysis, **change: object) -> Prediction:
        raise InputError("cannot predict from 1 request")

    monkeypatch.setattr(foretold, "whatif", refused)
    analysis, cells = replace(story[0], spans=story[0].spans.assign(start_ns=0)), cells_of(*story)
    assert "jobs): cannot predict from 1 request" in foretold.foretold_text(analysis, cells, Settings())
    assert foretold.foretold_text(analysis, cells[1:2], Settings()) == ""  # one mode alone
