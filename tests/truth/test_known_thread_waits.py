"""Known waits of threads: a lock, a slow log handler, a queue, a sleep; with and without others at the GIL."""

import json
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.model import Analysis

MS = 1_000_000
HELD_MS = {"calm": 60, "hogged": 500}

seen: dict[str, tuple[int, int, int]] = {}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """One traced run of every endpoint, analysed."""
    output = tmp_path_factory.mktemp("truth-threads")
    with traced_service(output) as url:
        contend(url, "calm", HELD_MS["calm"])
        get(f"{url}/audited")
        asked_ns, came_ns = json.loads(get(f"{url}/awaited_item?ms=40"))
        seen["item"] = (asked_ns, came_ns, came_ns)
        get(f"{url}/blocker?ms=60")
        for _ in range(20):
            get(f"{url}/uncontended")
        get(f"{url}/hog?ms=3000")
        contend(url, "hogged", HELD_MS["hogged"])
    return analysis.analyze(output)


def contend(url: str, name: str, held_ms: int) -> None:
    """One request holds the lock, another wants it."""

    def hold() -> None:
        seen[f"{name} holder"] = json.loads(get(f"{url}/books?ms={held_ms}"))

    holder = threading.Thread(target=hold)
    holder.start()
    deadline = time.monotonic() + 10
    while get(f"{url}/held") != "true" and time.monotonic() < deadline:
        time.sleep(0.001)
    seen[f"{name} victim"] = json.loads(get(f"{url}/books?ms=0"))
    holder.join()


def waited_ms(name: str) -> float:
    return (seen[f"{name} holder"][2] - seen[f"{name} victim"][0]) / MS


def rows_of(found: Analysis, endpoint: str) -> pd.DataFrame:
    rows = found.causes[found.causes["endpoint"] == endpoint]
    assert not rows.empty, f"no {endpoint} in {sorted(set(found.causes['endpoint']))}"
    return rows


def amount_ms(rows: pd.DataFrame, cause: str) -> float:
    return float(rows.loc[rows["cause"] == cause, "amount_ns"].sum()) / MS


def victims(found: Analysis) -> list[str]:
    """Trace ids of the requests that waited for the lock, in order of time."""
    rows = rows_of(found, "GET /books")
    locks = rows[rows["cause"] == "lock_wait"].groupby("trace_id")["amount_ns"].sum()
    waiting = locks[locks > MS].index
    return list(rows[rows["trace_id"].isin(waiting)].sort_values("start_ns")["trace_id"].drop_duplicates())


def test_nothing_odd_was_found(found: Analysis) -> None:
    assert not found.requests["incomplete"].any()
    assert [one for one in found.findings if one.code != "orphan-span"] == []


@pytest.mark.parametrize(("number", "name"), [(0, "calm"), (1, "hogged")])
def test_a_lock_held_by_another_request(found: Analysis, number: int, name: str) -> None:
    traces = victims(found)
    assert len(traces) == 2
    rows = found.causes[found.causes["trace_id"] == traces[number]]
    truth_ms = waited_ms(name)
    assert truth_ms > HELD_MS[name] / 5, "the injection had no effect"
    assert amount_ms(rows, "lock_wait") == pytest.approx(truth_ms, rel=0.05, abs=2.0)
    chief = rows.loc[rows[rows["cause"] == "lock_wait"]["amount_ns"].idxmax()]
    assert chief["evidence"] == "observed"
    source = Path(__file__).with_name("app.py").read_text().splitlines()
    line = next(number for number, text in enumerate(source, 1) if text.startswith("ledger ="))
    assert chief["detail"].startswith("Lock made at ")
    assert f"truth/app.py:{line} " in chief["detail"]
    assert chief["culprit"] == "keep_books"
    books = rows_of(found, "GET /books")
    holders = set(books["trace_id"]) - set(traces)
    assert chief["culprit_trace_id"] in holders
    held = books[(books["trace_id"] == chief["culprit_trace_id"]) & (books["cause"] == "blocking_io")]
    assert amount_ms(held, "blocking_io") == pytest.approx(HELD_MS[name], rel=0.05)


def test_who_holds_the_lock_slept_and_says_where(found: Analysis) -> None:
    books = rows_of(found, "GET /books")
    slept = books[(books["cause"] == "blocking_io") & (books["amount_ns"] > 10 * MS)]
    assert len(slept) == 2
    assert set(slept["culprit"]) == {"keep_books"}
    assert slept["detail"].str.startswith("in time.sleep in keep_books ").all()


def test_a_slow_handler_is_logging(found: Analysis) -> None:
    rows = rows_of(found, "GET /audited")
    assert amount_ms(rows, "logging_wait") == pytest.approx(30, rel=0.05, abs=2.0)
    assert amount_ms(rows, "blocking_io") < 1
    chief = rows.loc[rows[rows["cause"] == "logging_wait"]["amount_ns"].idxmax()]
    assert chief["culprit"] == "SlowHandler.emit"
    assert chief["detail"] == "logging handler SlowHandler.emit"


def test_an_item_of_a_queue(found: Analysis) -> None:
    rows = rows_of(found, "GET /awaited_item")
    truth_ms = (seen["item"][1] - seen["item"][0]) / MS
    got = rows[rows["detail"].str.startswith("in queue.Queue.get ")]
    assert amount_ms(got, "blocking_io") == pytest.approx(truth_ms, rel=0.05, abs=2.0)
    chief = rows.loc[rows[rows["cause"] == "blocking_io"]["amount_ns"].idxmax()]
    assert chief["detail"].startswith("in queue.Queue.get in awaited_item ")


def test_a_sleep_on_the_loop_is_the_blockers_own(found: Analysis) -> None:
    rows = rows_of(found, "GET /blocker")
    assert amount_ms(rows, "blocking_io") == pytest.approx(60, rel=0.05)
    chief = rows.loc[rows[rows["cause"] == "blocking_io"]["amount_ns"].idxmax()]
    assert (chief["culprit"], chief["evidence"]) == ("hold_the_loop", "observed")


def test_free_locks_blame_nobody(found: Analysis) -> None:
    rows = rows_of(found, "GET /uncontended")
    assert amount_ms(rows, "lock_wait") == 0
    by_request = rows[rows["cause"].isin(["logging_wait", "blocking_io"])].groupby("trace_id")["amount_ns"].sum()
    assert by_request.median() < 0.1 * MS or by_request.empty


def test_the_verdict_says_who_held_the_lock(found: Analysis) -> None:
    (books,) = [one for one in analysis.verdict(found) if one.endpoint == "GET /books"]
    at, reason = next((at, one) for at, one in enumerate(books.judgement.reasons) if one.cause == "lock_wait")
    assert "Lock made at" in books.reasons[at]
    assert "blocked by keep_books (truth/app.py:" in books.reasons[at]
    assert reason.other_requests_share == pytest.approx(1, abs=0.05)
