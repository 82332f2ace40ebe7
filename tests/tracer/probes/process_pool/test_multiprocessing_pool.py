"""`multiprocessing.Pool` and its kin of threads: turns, who has the workers, what runs there, and what the host keeps."""

import asyncio
import importlib
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any

import pytest

from tests.tracer.conftest import Traced
from tests.tracer.probes.process_pool.process_work import nap, spin
from tests.tracer.probes.process_pool.test_process_pool import fail
from whywait import analysis, phase, traced

Begin = Callable[..., Traced]
NAP_S = 0.05
# a worker that only starts Python was up within 37 ms on one machine
_SLOW_TO_IMPORT = """
import time
from pathlib import Path

until = time.perf_counter() + 0.2
while time.perf_counter() < until:
    Path(__file__).read_bytes()

from tests.tracer.probes.process_pool import process_work


def nap(seconds):
    return process_work.nap(seconds)
"""


@pytest.fixture
def spans(traced_to: Begin) -> Traced:
    return traced_to()


@pytest.fixture
def pool(spans: Traced) -> Iterator[Any]:
    """Its one worker runs before any request."""
    with multiprocessing.get_context("spawn").Pool(1) as made:
        made.apply(nap, (0,))
        yield made


@pytest.fixture
def threads(spans: Traced) -> Iterator[ThreadPool]:
    with ThreadPool(1) as made:
        yield made


def pauses(seconds: float) -> float:
    time.sleep(seconds)
    return time.perf_counter()


def causes_of(spans: Traced) -> dict[str, float]:
    """Of the request that ended last, in s."""
    found = analysis.analyze(spans.output)
    last = found.requests.sort_values("end_ns").iloc[-1]["request_id"]
    rows = found.causes[found.causes["request_id"] == last]
    return {str(cause): float(ns) / 1e9 for cause, ns in rows.groupby("cause")["amount_ns"].sum().items()}


def test_who_waits_in_a_thread_for_the_pool_is_told_its_turn_and_who_had_the_worker(spans: Traced, pool: Pool) -> None:
    waited_ms = []

    @traced
    async def ask() -> None:
        asked = time.perf_counter()
        result = await asyncio.to_thread(pool.apply, nap, (NAP_S,))
        waited_ms.append((time.perf_counter() - asked) * 1e3 - result.ended_ms + result.began_ms)

    async def main() -> None:
        await asyncio.gather(ask(), ask())

    asyncio.run(main())
    spans.stop()
    causes = causes_of(spans)
    assert causes["pool_queue"] * 1e3 == pytest.approx(max(waited_ms), rel=0.1, abs=15)
    assert causes["blocking_io"] >= 0.8 * NAP_S  # the pool hears late of the one before
    assert causes.get("lock_wait", 0) < 0.005
    (queued,) = [one for one in spans.of_kind("wait") if one["wait"] == "pool_queue" and one.ms > NAP_S * 500]
    assert (queued["pool.name"], queued["pool.size"], set(queued["occupant.names"])) == ("processes", 1, {"nap"})


def test_what_a_worker_computes_is_computing_there(spans: Traced, pool: Pool) -> None:
    with phase("root"):
        used_ms = pool.apply_async(spin, (0.1,)).get()
    spans.stop()
    run = spans.one("spin")
    assert run["cpu_ns"] / 1e6 == pytest.approx(used_ms, rel=0.15)
    assert run["process"] is True
    assert causes_of(spans)["compute"] * 1e3 == pytest.approx(used_ms, rel=0.15)


@pytest.mark.parametrize("method", ["map", "imap", "imap_unordered", "starmap"])
def test_each_chunk_is_a_job_by_the_users_function(spans: Traced, pool: Pool, method: str) -> None:
    with phase("root"):
        given = [NAP_S] * 3 if method != "starmap" else [(NAP_S,)] * 3
        asked_ms = time.perf_counter() * 1e3
        naps = list(getattr(pool, method)(nap, given, chunksize=1))
    spans.stop()
    assert len(naps) == 3
    assert [one.name for one in spans.of_kind("job")] == ["job nap"] * 3
    told = causes_of(spans)
    took_s = (max(one.ended_ms for one in naps) - asked_ms) / 1e3
    assert told["pool_queue"] + told["blocking_io"] == pytest.approx(took_s, rel=0.1, abs=0.015)


def test_errors_are_the_hosts(spans: Traced, pool: Pool) -> None:
    with phase("root"):
        with pytest.raises(KeyError):
            pool.apply(fail)
        with pytest.raises(Exception, match="pickle"):
            pool.apply(nap, (threading.Lock(),))
        pool.apply(nap, (NAP_S,))
    spans.stop()
    assert [(one.name, one["outcome"]) for one in spans.of_kind("job")] == [
        ("job fail", "error"),
        ("job nap", "error"),
        ("job nap", "ok"),
    ]


def test_a_callback_wakes_by_the_job(spans: Traced, pool: Pool) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        with phase("root"):
            pool.apply_async(nap, (NAP_S,), callback=lambda one: loop.call_soon_threadsafe(future.set_result, one))
            await future

    asyncio.run(main())
    spans.stop()
    assert causes_of(spans)["blocking_io"] == pytest.approx(NAP_S, rel=0.1, abs=0.01)


def test_a_pool_of_threads_has_turns_and_its_work_is_seen(spans: Traced, threads: ThreadPool) -> None:
    with phase("root"):
        began = time.perf_counter()
        ends = threads.map(pauses, [NAP_S] * 3, chunksize=1)
    spans.stop()
    told = causes_of(spans)
    assert told["pool_queue"] == pytest.approx(ends[1] - began, rel=0.1)
    assert told["blocking_io"] == pytest.approx(NAP_S, rel=0.1)
    assert {(one["pool.name"], one["pool.size"]) for one in spans.of_kind("job")} == {("ThreadPool", 1)}


def test_who_waits_for_a_worker_that_starts_is_told_so(
    spans: Traced, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_import.py").write_text(_SLOW_TO_IMPORT)
    monkeypatch.syspath_prepend(tmp_path)
    nap_there = importlib.import_module("slow_to_import").nap
    # of several the first may be up before the last is made
    with multiprocessing.get_context("spawn").Pool(1) as made, phase("root"):
        asked_ms = time.perf_counter() * 1e3
        result = made.apply(nap_there, (0.0,))
    spans.stop()
    until_up_s = (result.began_ms - asked_ms) / 1e3
    assert until_up_s > 0.2, "it was up: the injection had no effect"
    assert causes_of(spans)["pool_startup"] == pytest.approx(until_up_s, rel=0.15, abs=0.03)


def test_nothing_stays_behind_and_pools_made_before_are_seen_too(traced_to: Begin) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool, ThreadPool(1) as threads:
        own = [vars(one).copy() for one in (pool, threads)]
        methods = [vars(Pool)[name] for name in ("_check_running", "_repopulate_pool", "terminate")]
        spans = traced_to()
        with phase("root"):
            pool.apply(nap, (0,))
            threads.apply(pauses, (0,))
        spans.stop()
        assert [one.name for one in spans.of_kind("job")] == ["job nap", "job pauses"]
        assert [vars(one) for one in (pool, threads)] == own
        assert [vars(Pool)[name] for name in ("_check_running", "_repopulate_pool", "terminate")] == methods
        assert "_send_bytes" not in vars(own[0]["_inqueue"]._writer)
        assert pool.apply(nap, (0,)) is not None
