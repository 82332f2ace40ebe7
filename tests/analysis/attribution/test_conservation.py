"""Every request's rows tile its wall time, whatever the trace; and a second opinion agrees on who had it."""

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.analysis.brute_force import lives, owners
from tests.analysis.random_traces import traces
from whywait import analysis
from whywait.analysis.attribution.conservation import ConservationError, check_conservation
from whywait.tracer import schema

LENIENT = settings(deadline=None, suppress_health_check=list(HealthCheck), max_examples=120)


def tiled(result: analysis.Analysis) -> None:
    """Recompute conservation row by row, apart from the code that attributes."""
    for request in result.requests.itertuples():
        at = request.start_ns
        mine = result.causes[
            (result.causes["trace_id"] == request.trace_id) & (result.causes["request_id"] == request.request_id)
        ]
        if request.incomplete:
            assert mine.empty
            continue
        for row in mine.sort_values("start_ns").itertuples():
            assert row.start_ns == at
            assert row.amount_ns == row.end_ns - row.start_ns > 0
            assert row.culprit_ns <= row.amount_ns
            at = row.end_ns
        assert at == request.end_ns


@LENIENT
@given(traces(measured=True))
def test_any_trace_is_tiled(spans: pd.DataFrame) -> None:
    before = spans.copy(deep=True)
    result = analysis.analyze(spans)
    tiled(result)
    pd.testing.assert_frame_equal(spans, before)
    named = result.culprits.groupby(["trace_id", "request_id", "start_ns"])["ns"].sum()
    rows = result.causes.set_index(["trace_id", "request_id", "start_ns"])["amount_ns"]
    assert (named <= rows.loc[named.index]).all()


@LENIENT
@given(traces(measured=True))
def test_the_root_that_knows_its_arrival_is_the_window_and_the_handler_lies_in_it(spans: pd.DataFrame) -> None:
    result = analysis.analyze(spans)
    tiled(result)
    at = {(row.trace_id, row.span_id): row for row in spans.itertuples()}
    roots = {(row.trace_id, row.parent_id): row for row in spans.itertuples() if row.attributes.get(schema.ROOT)}
    for request in result.requests.itertuples():
        server, root = (known[request.trace_id, request.request_id] for known in (at, roots))
        window = root if root.attributes.get(schema.INGRESS_FROM) else server
        assert (request.start_ns, request.end_ns) == (window.start_ns, window.end_ns)
        assert request.wall_ns == window.end_ns - window.start_ns
        common = set(range(window.start_ns, window.end_ns)) & set(range(server.start_ns, server.end_ns))
        assert request.handler_ns == len(common)


@LENIENT
@given(traces(measured=True), st.randoms(use_true_random=False))
def test_the_order_of_spans_changes_nothing(spans: pd.DataFrame, random: object) -> None:
    shuffled = list(range(len(spans)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    result = analysis.analyze(spans)
    again = analysis.analyze(spans.iloc[shuffled])
    pd.testing.assert_frame_equal(result.causes, again.causes)
    pd.testing.assert_frame_equal(result.culprits, again.culprits)
    assert result.findings == again.findings


@LENIENT
@given(traces())
def test_a_second_opinion_agrees(spans: pd.DataFrame) -> None:
    result = analysis.analyze(spans)
    found = lives(spans)
    roots = {}
    for row in spans.itertuples():
        if row.attributes.get(schema.ROOT):
            roots[row.trace_id, row.parent_id] = (row.trace_id, row.span_id)
    for request in result.requests.itertuples():
        mine = result.causes[
            (result.causes["trace_id"] == request.trace_id) & (result.causes["request_id"] == request.request_id)
        ]
        told: list[str] = []
        for row in mine.sort_values("start_ns").itertuples():
            owner = f"{row.activity_id}:{row.span_name}" if row.span_name.startswith("w") else row.activity_id
            owner = row.activity_id if row.span_name == "work" else owner
            told += [owner or "outside"] * row.amount_ns
        root = roots[request.trace_id, request.request_id]
        assert told[::-1] == owners(found, root, request.start_ns, request.end_ns, 1)


def test_a_gap_an_overlap_and_a_wrong_sum_are_seen() -> None:
    requests = pd.DataFrame({"trace_id": ["t"], "request_id": ["r"], "start_ns": [0], "end_ns": [10], "wall_ns": [10]})

    def rows(*times: tuple[int, int]) -> pd.DataFrame:
        return pd.DataFrame(
            [("t", "r", start, end, end - start) for start, end in times],
            columns=["trace_id", "request_id", "start_ns", "end_ns", "amount_ns"],
        )

    check_conservation(requests, rows((5, 10), (0, 5)))
    for wrong in (rows((0, 4), (5, 10)), rows((0, 6), (5, 10)), rows((0, 9)), rows((0, 10), (10, 10)), rows()):
        with pytest.raises(ConservationError):
            check_conservation(requests, wrong)
