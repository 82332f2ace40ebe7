"""The last seconds, and labels that do not grow without bound."""

import numpy as np
import pytest

from tests.analysis.live.traces import totals_of
from whywait.analysis.live.counting import Busy, Counted, Culprit
from whywait.analysis.live.labels import OTHERS, Labels
from whywait.analysis.live.reader import last_seconds
from whywait.analysis.live.window import Window

MS = 1_000_000
HOG = Culprit("gil_wait", "spin", "/srv/app.py", 9)


def request(
    endpoint: str = "GET /", ms: float = 10, weight: float = 1.0, end_ns: int = 0, trace_id: str = "t"
) -> Counted:
    wall_ns = round(ms * MS)
    return Counted(
        endpoint, trace_id, end_ns, wall_ns, wall_ns, weight, {"compute": wall_ns // 2, "gil_wait": wall_ns // 2},
        {HOG: wall_ns // 2},
    )  # fmt: skip


def test_what_is_older_than_the_window_is_gone() -> None:
    window = Window(10)
    window.add(2.0, [request("GET /old")])
    for _ in range(5):
        window.add(2.0, [request("GET /new")])
    view = window.view()
    assert [one.name for one in view.endpoints] == ["GET /new"]
    assert (view.seconds, view.endpoints[0].requests) == (10.0, 5)


def test_time_before_the_first_request_is_not_counted_as_empty() -> None:
    window = Window(60)
    window.add(2.0, [])
    window.add(2.0, [])
    assert window.view().seconds == 0
    window.add(2.0, [request()] * 8)
    assert window.view().seconds == 2.0
    window.add(2.0, [])
    assert window.view().seconds == 4.0


def test_weights_count_as_requests_everywhere_but_in_the_worst() -> None:
    window = Window(10)
    window.add(2.0, [request(ms=10, weight=99.0, trace_id="a"), request(ms=1000, weight=1.0, trace_id="b")])
    (one,) = window.view().endpoints
    assert (one.requests, one.traced) == (100.0, 2)
    assert one.p50_ns == pytest.approx(10 * MS, rel=0.012)
    assert one.p95_ns == pytest.approx(10 * MS, rel=0.012)
    assert one.by_cause["gil_wait"] == (99 * 5 + 500) * MS
    assert one.culprits[HOG] == (99 * 5 + 500) * MS
    assert (one.worst.trace_id, one.worst.wall_ns) == ("b", 1000 * MS)
    assert window.view().mean_ns("gil_wait") == pytest.approx((99 * 5 + 500) * MS / 100)


def test_percentiles_are_near_the_true_ones() -> None:
    walls = np.random.default_rng(1).lognormal(3, 1, 2000)
    window = Window(10)
    window.add(2.0, [request(ms=ms) for ms in walls])
    (one,) = window.view().endpoints
    assert one.p50_ns / MS == pytest.approx(np.percentile(walls, 50, method="inverted_cdf"), rel=0.012)
    assert one.p95_ns / MS == pytest.approx(np.percentile(walls, 95, method="inverted_cdf"), rel=0.012)


def test_pools_are_busy_as_long_as_their_jobs_ran() -> None:
    window = Window(10)
    jobs = [Busy("predict", 4, process, 0, 500 * MS, 2.0) for process in (1, 1, 2)]
    window.add(2.0, [request()], jobs)
    (pool,) = window.view().pools
    assert (pool.name, pool.size, pool.processes, pool.busy) == ("predict", 4, 2, pytest.approx(1.5))


def test_a_window_is_bounded_whatever_the_names() -> None:
    window = Window(10, 5)
    for number in range(100):
        busy = [Busy(f"pool {number}-{part}", 1, 0, 0, 1, 1.0) for part in range(500)]
        window.add(2.0, [request(f"GET /{number}-{part}") for part in range(50)], busy)
    view = window.view()
    assert len(view.endpoints) == 5 * 5 + 1
    assert sum(one.requests for one in view.endpoints) == 250
    assert sum(one.requests for one in view.endpoints if one.name == OTHERS) == 225
    assert len(view.pools) <= 20


def test_labels_are_bounded_printable_and_stay() -> None:
    labels = Labels(3)
    given = [labels.label(f"GET /{number}") for number in range(10)]
    assert given == ["GET /0", "GET /1", "GET /2", *[OTHERS] * 7]
    assert labels.label("GET /1") == "GET /1"
    hostile = Labels().label("GET \x1b[31m\ud800\u202e" + "x" * 1000)
    assert len(hostile) == 200
    hostile.encode()
    assert hostile.isprintable()


def test_totals_fold_what_has_no_label() -> None:
    totals = totals_of([request(f"GET /{number}", weight=2.0) for number in range(10)], most=2)
    assert {label: total.requests for label, total in totals.items()} == {
        "GET /0": 2.0, "GET /1": 2.0, OTHERS: 16.0,
    }  # fmt: skip


def test_the_last_seconds_of_what_was_written() -> None:
    second = 1_000_000_000
    every = [request(end_ns=number * second) for number in range(100, 160)]
    chosen, covered_s = last_seconds(every, 10)
    assert [one.end_ns // second for one in chosen] == list(range(150, 160))
    assert covered_s == 10
    chosen, covered_s = last_seconds(every, 600)
    assert (len(chosen), covered_s) == (60, pytest.approx(59.01))
    assert last_seconds([], 10) == ([], 0.0)
