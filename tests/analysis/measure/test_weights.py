"""Few traces kept, each worth many requests: sums and percentiles are those of all requests, unbiased."""

from random import Random

import numpy as np
import pandas as pd
import pytest

from tests.analysis.fabricate import MS, Culprit, analysis_of
from whywait.analysis.measure.summary import summarize, worst_culprits
from whywait.analysis.measure.weights import percentiles
from whywait.analysis.verdicts.sentences import verdict
from whywait.tracer.config import KEEP_SLOW, Config
from whywait.tracer.keeping.tail_sampling import Keeper


def drawn(seed: int, count: int) -> list[dict[str, float]]:
    """Requests that compute; one in thirty also queues for long."""
    draw = Random(seed)
    return [
        {"compute": draw.lognormvariate(2, 0.5)}
        | ({"pool_queue": draw.uniform(50, 150)} if draw.random() < 1 / 30 else {})
        for _ in range(count)
    ]


def kept_of(requests: list[dict[str, float]], seed: int) -> tuple[list[dict[str, float]], list[float]]:
    keeper = Keeper(Config(keep=KEEP_SLOW, keep_share=0.05, keep_per_s=0), Random(seed))
    decided = [(one, keeper.decide("GET /", round(sum(one.values()) * MS), error=False)) for one in requests]
    return (
        [one for one, decision in decided if decision.kept],
        [decision.weight for _, decision in decided if decision.kept],
    )


def test_sums_over_the_kept_are_unbiased_for_all() -> None:
    everything = summarize(analysis_of({"GET /": drawn(1, 3000)}).causes).set_index("cause")
    estimates = []
    for seed in range(20):
        kept, weights = kept_of(drawn(1, 3000), seed)
        assert len(kept) < 600
        causes = analysis_of({"GET /": kept}).causes
        causes["weight"] = causes["request_id"].map(lambda name, w=weights: w[int(name, 16) - 1])
        estimates.append(summarize(causes).set_index("cause"))
    for cause in ("compute", "pool_queue"):
        totals = np.array([one.loc[cause, "total_ns"] for one in estimates], dtype=float)
        error = totals.std(ddof=1) / len(totals) ** 0.5
        assert abs(totals.mean() - everything.loc[cause, "total_ns"]) < 4 * error + 1
        assert totals.mean() == pytest.approx(everything.loc[cause, "total_ns"], rel=0.05)
    counts = [one["requests"].iloc[0] for one in estimates]
    assert np.mean(counts) == pytest.approx(3000, rel=0.05)
    shares = [one["share"].sum() for one in estimates]
    assert shares == pytest.approx([1.0] * len(shares))


def test_without_weights_the_slow_ones_would_be_taken_for_all() -> None:
    kept, _ = kept_of(drawn(1, 3000), 0)
    naive = summarize(analysis_of({"GET /": kept}).causes).set_index("cause")
    truth = summarize(analysis_of({"GET /": drawn(1, 3000)}).causes).set_index("cause")
    assert naive.loc["pool_queue", "share"] > 1.5 * truth.loc["pool_queue", "share"]


def test_a_request_of_weight_ten_is_ten_requests() -> None:
    ten = analysis_of({"GET /": [{"compute": 10}] * 10 + [{"compute": 30, "pool_queue": 70}]},
                      culprits={"pool_queue": Culprit("predict")})  # fmt: skip
    one = analysis_of({"GET /": [{"compute": 10}, {"compute": 30, "pool_queue": 70}]},
                      culprits={"pool_queue": Culprit("predict")})  # fmt: skip
    for table in (one.requests, one.causes, one.culprits):
        table["weight"] = np.where(table["request_id"] == f"{1:016x}", 10.0, 1.0)
    columns = ["cause", "requests", "total_ns", "mean_ns", "share"]
    pd.testing.assert_frame_equal(summarize(one.causes)[columns], summarize(ten.causes)[columns])
    (told,) = verdict(one)
    (wanted,) = verdict(ten)
    assert told.judgement.requests == wanted.judgement.requests == 11
    assert told.judgement.traced == 2
    assert [(a.cause, a.mean_ns, a.share) for a in told.judgement.reasons] == [
        (b.cause, pytest.approx(b.mean_ns), pytest.approx(b.share)) for b in wanted.judgement.reasons
    ]
    assert "about 11 requests, 2 of them traced" in told.headline
    assert told.judgement.p50_ns == 10 * MS
    assert worst_culprits(one.culprits)["ns"].tolist() == worst_culprits(ten.culprits)["ns"].tolist()


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [3.5] * 4])
def test_percentiles_are_by_nearest_rank(weights: list[float]) -> None:
    values = np.array([1, 2, 4, 10])
    assert percentiles(values, weights, [0, 50, 90]).tolist() == [1, 2, 10]
