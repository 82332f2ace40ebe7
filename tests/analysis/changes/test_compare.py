"""Two runs compared: differences that sum exactly, a known change found, and chance not blamed."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.fabricate import MS, Culprit, analysis_of, random_analysis
from whywait import analysis
from whywait.analysis.changes.comparison import Change
from whywait.analysis.changes.sentences import headline, text
from whywait.analysis.measure.percentile_composition import (
    composition,
    divided,
    highest_tellable,
    requests_needed,
    sample_of,
)
from whywait.analysis.model import Analysis

PERCENTILES = (1, 25, 50, 90, 95, 99, 99.9)


def noisy(seed: int, count: int = 120, *, lock_ms: float = 0.0, endpoint: str = "GET /a") -> Analysis:
    """Requests that compute and wait for I/O, differently each time; to each comes `lock_ms` of a lock."""
    draw = Random(seed)
    amounts = [
        {"compute": draw.lognormvariate(2, 0.3), "await_io": draw.lognormvariate(3, 0.6), "gil_wait": draw.random()}
        | ({"lock_wait": lock_ms * draw.uniform(0.8, 1.2)} if lock_ms else {})
        for _ in range(count)
    ]  # fmt: skip
    return analysis_of({endpoint: amounts}, culprits={"lock_wait": Culprit("audit", "/srv/shop/audit.py", 7)})


def only(before: Analysis, after: Analysis, percentile: float = 50) -> Change:
    (change,) = analysis.compare(before, after, percentile).changes
    return change


@pytest.fixture
def no_remedies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Situations choose the remedies only, and finding them is most of a comparison's time."""
    monkeypatch.setattr("whywait.analysis.changes.comparison.judge", lambda _: [])


@given(st.integers(0, 10**13), st.lists(st.integers(0, 10**13), min_size=1, max_size=20).filter(any))
def test_parts_sum_exactly_and_none_is_far_from_its_share(total: int, weights: list[int]) -> None:
    parts = divided(total, weights)
    assert sum(parts) == total
    assert all(
        abs(part * sum(weights) - total * weight) < sum(weights) for part, weight in zip(parts, weights, strict=True)
    )


@pytest.mark.usefixtures("no_remedies")
@pytest.mark.parametrize("seed", range(5))
def test_differences_sum_to_the_difference_of_the_percentile(seed: int) -> None:
    before, after = random_analysis(seed, 90), random_analysis(seed + 100, 140)
    for percentile in PERCENTILES:
        for change in analysis.compare(before, after, percentile).changes:
            assert sum(one.delta_ns for one in change.causes) == change.delta_ns
            for side, ns in ((before, change.before_ns), (after, change.after_ns)):
                walls = np.sort(side.requests.loc[side.requests["endpoint"] == change.endpoint, "wall_ns"])
                assert ns == np.percentile(walls, percentile, method="inverted_cdf")


def test_a_known_change_is_found_with_its_amount_and_its_culprit() -> None:
    change = only(noisy(1), noisy(2, lock_ms=40))
    (blamed,) = change.blamed
    assert blamed.cause == "lock_wait"
    assert abs(blamed.delta_ns - 40 * MS) < 4 * MS
    assert blamed.low_ns < 40 * MS < blamed.high_ns
    assert blamed.mover is not None
    assert (blamed.mover.name, blamed.mover.place) == ("audit", "shop/audit.py:7")
    assert blamed.mover.before_ns == 0
    said = text(change, 50)
    for words in ("slower", "lock_wait" if "lock_wait" in said else "waiting for a lock", "audit", "What to change"):
        assert words in said


def test_the_way_back_is_faster_and_needs_no_remedy() -> None:
    said = text(only(noisy(2, lock_ms=40), noisy(1)), 50)
    assert "faster" in said
    assert "What to change" not in said


def test_a_run_against_itself_has_no_culprit() -> None:
    for percentile in PERCENTILES:
        change = only(noisy(3, 600), noisy(3, 600), percentile)
        assert (change.delta_ns, change.blamed, change.against) == (0, (), ())


@pytest.mark.usefixtures("no_remedies")
def test_chance_is_hardly_ever_blamed() -> None:
    changes = [only(noisy(seed), noisy(1000 + seed), 50) for seed in range(60)]
    assert sum(bool(change.blamed) for change in changes) <= 2
    assert sum(bool(change.against) for change in changes) <= 4


def test_what_went_against_the_change_is_told_apart() -> None:
    quick = analysis_of({"GET /a": [{"pool_queue": 50 + n % 7, "gil_wait": 5} for n in range(60)]})
    other = analysis_of({"GET /a": [{"pool_queue": 5, "gil_wait": 25 + n % 5} for n in range(60)]})
    change = only(quick, other)
    assert [one.cause for one in change.blamed] == ["pool_queue"]
    assert [one.cause for one in change.against] == ["gil_wait"]
    assert "Against it: +" in text(change, 50)


def test_too_few_requests_say_how_many_it_takes() -> None:
    change = only(noisy(1, 40), noisy(2, 40, lock_ms=500), 95)
    assert change.delta_ns > 300 * MS
    assert not change.certain
    assert change.blamed == ()
    assert "p95 needs 104 on each side; 40 are enough for p87" in headline(change, 95)
    assert requests_needed(95) == 104
    assert highest_tellable(40) == 87


def test_a_request_that_stands_for_many_counts_as_many() -> None:
    alone = noisy(5, 200)
    weights = [1 + 3 * (number % 2) for number in range(200)]
    heavy = replace(alone, requests=alone.requests.assign(weight=[float(one) for one in weights]))
    rows = np.repeat(np.arange(200), weights)
    repeated = alone.requests.iloc[rows].reset_index(drop=True)
    repeated["request_id"] = [f"{number:016x}" for number in range(len(repeated))]
    original = alone.requests["request_id"].iloc[rows].to_numpy()
    causes = alone.causes.merge(
        repeated[["request_id"]].assign(of=original).rename(columns={"request_id": "copy"}),
        left_on="request_id",
        right_on="of",
    )
    causes["request_id"] = causes["copy"]
    first, second = sample_of(heavy.requests, heavy.causes), sample_of(repeated, causes)
    for percentile in (10, 50, 75, 95):
        one, other = composition(first, percentile), composition(second, percentile)
        assert sum(one) == sum(other)
        assert np.allclose(one, other, atol=2)


def test_endpoints_of_one_run_alone_are_named() -> None:
    before = analysis_of({"GET /a": [{"compute": 3}], "GET /old": [{"compute": 3}]})
    after = analysis_of({"GET /a": [{"compute": 3}], "GET /new": [{"compute": 3}]})
    compared = analysis.compare(before, after)
    assert [one.endpoint for one in compared.changes] == ["GET /a"]
    assert (compared.only_before, compared.only_after) == (("GET /old",), ("GET /new",))


def test_nothing_to_compare_is_refused_with_what_there_is() -> None:
    before, after = noisy(1, 9), noisy(2, 9, endpoint="GET /b")
    with pytest.raises(analysis.InputError, match=r"no endpoint in common.*GET /a.*GET /b.*--against"):
        analysis.compare(before, after)
    assert only(analysis.renamed(before, "x"), analysis.renamed(after, "x")).endpoint == "x"
    for percentile in (0, 100, float("nan"), -5):
        with pytest.raises(analysis.InputError, match="percentile"):
            analysis.compare(before, before, percentile)
