"""Sums are exact, shares are of the group's wall, and a request without a cause counts as zero."""

import pandas as pd
import pytest

from tests.analysis.fabricate import MS, Culprit, analysis_of, random_analysis
from whywait.analysis.measure.summary import summarize, worst_culprits


def row(table: pd.DataFrame, cause: str) -> "pd.Series[float]":
    return table[table["cause"] == cause].iloc[0]


def test_a_request_without_the_cause_counts_as_zero() -> None:
    given = analysis_of({"GET /a": [{"compute": 10}] * 9 + [{"compute": 10, "loop_busy": 100}]})
    busy = row(summarize(given.causes), "loop_busy")
    assert (busy["requests"], busy["total_ns"], busy["mean_ns"]) == (10, 100 * MS, 10 * MS)
    assert busy["p50_ns"] == 0
    assert busy["p95_ns"] == busy["p99_ns"] == 100 * MS  # by nearest rank: what one real request took
    assert busy["share"] == pytest.approx(0.5)


def test_segments_of_one_request_are_one_amount() -> None:
    given = analysis_of({"GET /a": [{"compute": 3, "gc_pause": 1}]})
    twice = pd.concat([given.causes, given.causes.assign(start_ns=given.causes["end_ns"])])
    assert row(summarize(twice), "compute")["p50_ns"] == 6 * MS


@pytest.mark.parametrize("seed", range(5))
def test_sums_and_shares_lose_nothing(seed: int) -> None:
    given = random_analysis(seed, 60)
    table = summarize(given.causes)
    walls = given.requests.groupby("endpoint")["wall_ns"].sum()
    assert table.groupby("endpoint")["total_ns"].sum().to_dict() == walls.to_dict()
    assert table.groupby("endpoint")["share"].sum().to_numpy() == pytest.approx(1.0)
    assert (table.groupby("endpoint")["total_ns"].diff().dropna() <= 0).all()


def test_the_part_known_by_rule_is_told() -> None:
    causes = analysis_of({"GET /a": [{"compute": 10}, {"compute": 30}]}).causes
    causes.loc[causes["amount_ns"] == 30 * MS, "evidence"] = "inferred"
    assert row(summarize(causes), "compute")["inferred_share"] == pytest.approx(0.75)


def test_another_column_and_one_that_is_not_there() -> None:
    causes = analysis_of({"GET /a": [{"compute": 1}], "GET /b": [{"compute": 2}]}).causes
    assert list(summarize(causes, by="activity_name")["activity_name"]) == ["GET /a", "GET /b"]
    with pytest.raises(KeyError, match="no column 'colour'"):
        summarize(causes, by="colour")


def test_nothing_gives_an_empty_table() -> None:
    empty = analysis_of({})
    assert summarize(empty.causes).empty
    assert worst_culprits(empty.culprits).empty


def test_the_worst_culprit_comes_first_and_computing_is_no_crime() -> None:
    given = analysis_of(
        {"GET /a": [{"compute": 900, "loop_busy": 5, "pool_queue": 7}] * 2},
        culprits={
            "compute": Culprit("me"), "loop_busy": Culprit("rank", "r.py", 3), "pool_queue": Culprit("job")
        },
    )  # fmt: skip
    told = worst_culprits(given.culprits)
    assert list(zip(told["culprit"], told["victims"], told["ns"], strict=True)) == [
        ("job", 2, 14 * MS), ("rank", 2, 10 * MS)
    ]  # fmt: skip
    assert len(worst_culprits(given.culprits, top=1)) == 1


def test_whom_a_culprit_held_is_told_the_most_delayed_endpoint_first() -> None:
    given = analysis_of(
        {"GET /a": [{"loop_busy": 5}] * 2, "GET /b": [{"loop_busy": 30}], "GET /c": [{"compute": 1}]},
        culprits={"loop_busy": Culprit("rank", "r.py", 3)},
    )
    (told,) = worst_culprits(given.culprits).to_dict("records")
    assert told["endpoints"] == ["GET /b", "GET /a"]
    assert told["victims"] == 3
