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
from whywait.analysis.changes.whole import shift
from whywait.analysis.measure.percentile_composition import (
    Sample,
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


def sample(walls: np.ndarray) -> Sample:
    """A sample of requests in order of time, as `sample_of` makes it."""
    order = np.argsort(walls, kind="stable")
    times = np.round(walls[order]).astype(np.int64)
    amounts = np.stack([times], axis=1)
    return Sample(np.arange(len(walls)).astype(object), amounts, times, np.ones(len(walls)), np.argsort(order))


def run_of(dice: np.random.Generator, alike: float, *, times: float = 1.0, spread: float = 0.3) -> Sample:
    """Two hundred requests of which each resembles the one before."""
    level, noise = np.zeros(201), dice.normal(0, spread, 200)
    for at in range(200):
        level[at + 1] = alike * level[at] + np.sqrt(1 - alike**2) * noise[at]
    return sample(50e6 * times * np.exp(level[1:]))


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.83])
def test_equal_runs_are_hardly_ever_called_slower_however_alike_their_requests_are(alike: float) -> None:
    dice = np.random.default_rng(11)
    alarms = sum(shift([run_of(dice, alike)], [run_of(dice, alike)], 1).slower for _ in range(400))
    assert alarms <= 9  # 1% are 4, and 10 or more of them less than one time in a hundred


def test_ten_percent_are_found_with_200_requests_a_side() -> None:
    dice = np.random.default_rng(12)
    for spread, least in ((0.2, 195), (0.3, 140)):
        pairs = (
            shift([run_of(dice, 0, spread=spread)], [run_of(dice, 0, times=1.1, spread=spread)], 1) for _ in range(200)
        )
        assert sum(one.slower for one in pairs) >= least


def test_runs_that_differ_by_themselves_are_no_change_where_a_side_has_several() -> None:
    dice, alarms = np.random.default_rng(13), 0
    for _ in range(300):
        sides = [[run_of(dice, 0, times=float(np.exp(dice.normal(0, 0.1)))) for _ in range(3)] for _ in range(2)]
        alarms += shift(*sides, 1).slower
    assert alarms <= 8


def test_ten_times_slower_is_told_with_a_few_requests_and_chance_is_not_with_one() -> None:
    few = shift([sample(np.array([10e6, 11e6, 9e6, 12e6]))], [sample(np.array([100e6, 90e6, 120e6, 99e6]))], 1)
    assert few.slower
    one = shift([sample(np.array([10e6]))], [sample(np.array([100e6]))], 1)
    assert (one.slower, one.excluded, one.needed) == (False, False, None)
