"""A request with more records than it may have: short jobs that were awaited one after another are summed."""

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import FrameType

import anyio.to_thread
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from opentelemetry import trace

from tests.tracer.conftest import Span, Traced
from whywait import analysis, phase
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.judgement import judge
from whywait.tracer.host.native import native_core
from whywait.tracer.hotpath import core, job_sums

Begin = Callable[..., Traced]
JOBS = 400
ROOM = 900  # records: far fewer than the jobs and their waits would be
DETAILED = 40
LONG_S = 0.2


@pytest.fixture(autouse=True)
def few_in_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whywait.tracer.records.request._DETAILED", DETAILED)


def jobs_of(spans: Traced) -> Counter[str]:
    """How many jobs the spans stand for, by function."""
    found: Counter[str] = Counter()
    for span in spans.of_kind("job"):
        found[span.name.removeprefix("job ")] += span["count"] or 1
    return found


def root_of(spans: Traced) -> Span:
    (root,) = [span for span in spans.spans if span["root"]]
    return root


async def hand_over(work: Callable[[int], None], *others: Callable[[int], None]) -> None:
    for at in range(JOBS):
        for one in (work, *others):
            await anyio.to_thread.run_sync(one, at)


def test_like_jobs_are_one_with_their_sums(traced_to: Begin) -> None:
    worked_ns = [0, 0]  # of the jobs: all, and those that are certainly summed

    def work(at: int) -> None:
        start_ns = time.perf_counter_ns()
        while time.perf_counter_ns() - start_ns < 50_000:
            pass
        worked_ns[0] += time.perf_counter_ns() - start_ns

    def other(at: int) -> None:
        """Another function between them."""

    async def main() -> None:
        with phase("request"):
            await hand_over(work, other)

    spans = traced_to(max_records_per_request=ROOM)
    asyncio.run(main())
    spans.stop()
    root = root_of(spans)
    assert root["incomplete"] is None
    names = {name.rpartition(".")[2]: count for name, count in jobs_of(spans).items()}
    assert names == {"work": JOBS, "other": JOBS}
    assert len(spans.spans) < JOBS  # without sums, each of them has three
    runs_ns = sum(one.end_ns - one.start_ns for one in spans.of_kind("run") if one.name.endswith("work"))
    assert worked_ns[0] <= runs_ns + JOBS * 1_000  # clocks are read inside
    found = analysis.analyze(spans.output)
    assert found.causes["amount_ns"].sum() == found.requests["wall_ns"].sum()
    assert all(root.start_ns <= one.start_ns <= one.end_ns <= root.end_ns for one in spans.of_kind("job"))


def test_a_long_one_among_them_keeps_its_span(traced_to: Begin) -> None:
    def work(at: int) -> None:
        if at == JOBS - 50:
            time.sleep(LONG_S)

    async def main() -> None:
        with phase("request"):
            await hand_over(work)

    spans = traced_to(max_records_per_request=ROOM)
    asyncio.run(main())
    spans.stop()
    (long,) = [one for one in spans.of_kind("job") if one.ms >= LONG_S * 1e3 and not one["count"]]
    found = analysis.analyze(spans.output)
    slept_ns = found.causes.loc[found.causes["cause"] == "blocking_io", "amount_ns"].sum()
    assert slept_ns >= LONG_S * 0.95e9
    assert long["activity"] is None or long["outcome"] == "ok"
    assert sum(jobs_of(spans).values()) == JOBS


def test_a_job_with_spans_inside_keeps_its_own(traced_to: Begin) -> None:
    tracer = trace.get_tracer("users")

    def work(at: int) -> None:
        if at == JOBS // 2:
            with trace.get_tracer("users").start_as_current_span("users"):
                pass

    async def main() -> None:
        with phase("request"):
            await hand_over(work)

    spans = traced_to(max_records_per_request=10 * ROOM)
    asyncio.run(main())
    spans.stop()
    users = spans.one("users")
    assert users.parent_id in {one.span_id for one in spans.of_kind("run")}
    assert tracer is not None


def test_a_thread_that_waits_for_many_jobs(traced_to: Begin) -> None:
    spans = traced_to(max_records_per_request=ROOM)
    with ThreadPoolExecutor(1) as pool, phase("request"):
        for at in range(JOBS):
            pool.submit(abs, at).result()
    spans.stop()
    assert root_of(spans)["incomplete"] is None
    assert jobs_of(spans) == {"abs": JOBS}


def test_jobs_that_run_at_once_are_not_summed(traced_to: Begin) -> None:
    async def main() -> None:
        with phase("request"):
            await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.001) for _ in range(JOBS // 4)))

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    assert [one["count"] for one in spans.of_kind("job")] == [None] * (JOBS // 4)


def test_short_waits_for_jobs_are_what_passed_before_they_began(traced_to: Begin) -> None:
    began_ns = [0]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(time.perf_counter_ns)  # a worker is there
        with phase("request"):
            for _ in range(JOBS):
                job = loop.run_in_executor(None, time.perf_counter_ns)
                handed_ns = time.perf_counter_ns()  # what it takes to hand it over is the loop's computing
                began_ns[0] += max(await job - handed_ns, 0)

    spans = traced_to(sampler=False)
    asyncio.run(main())
    spans.stop()
    root = root_of(spans)
    short_ns = (root["small.pool_handover_ns"] or 0) + (root["small.pool_queue_ns"] or 0)
    long_ns = sum(
        one.end_ns - one.start_ns for one in spans.of_kind("wait") if one["wait"] in ("pool_handover", "pool_startup")
    )
    assert short_ns + long_ns == pytest.approx(began_ns[0], rel=0.25)


def test_a_streamed_response_is_told_as_what_it_is(traced_to: Begin, tmp_path: Path) -> None:
    app = FastAPI()

    @app.get("/rows")
    def rows() -> StreamingResponse:
        def lines() -> Iterator[str]:
            for at in range(JOBS):
                yield f"row {at}\n"

        return StreamingResponse(lines())

    async def main() -> str:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://test") as client:
            return (await client.get("/rows")).text

    spans = traced_to(max_records_per_request=ROOM)
    assert len(asyncio.run(main()).splitlines()) == JOBS
    spans.stop()
    found = analysis.analyze(spans.output)
    assert found.requests["incomplete"].tolist() == [False]
    (group,) = judge(found)
    assert group.endpoint == "GET /rows"
    kinds = (Situation.MANY_JOBS, Situation.THREAD_HOPS)
    (many,) = [one.numbers for one in group.situations if one.kind in kinds]
    assert (many["function"], many["in_turn"]) == ("_next (a generator's step)", True)
    assert JOBS <= many["per_request"] <= JOBS + 2


@pytest.mark.skipif(core.name != native_core.NATIVE, reason="the native core is not built")
def test_a_job_among_many_is_summed_without_python(traced_to: Begin) -> None:
    """A streamed response hands thousands of jobs over: what Python does for each of them is what it costs most."""
    calls: Counter[str] = Counter()

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            calls[frame.f_code.co_filename] += 1

    async def main() -> None:
        with phase("request"):
            await hand_over(abs)  # from here on they are summed
            threading.setprofile(count)
            sys.setprofile(count)
            try:
                await hand_over(abs)
            finally:
                sys.setprofile(None)
                threading.setprofile(None)  # type: ignore[arg-type]

    spans = traced_to(max_records_per_request=10 * ROOM)
    asyncio.run(main())
    spans.stop()
    assert calls[job_sums.__file__] < JOBS, calls  # Python's own sums are six calls for each job, and more
    assert jobs_of(spans) == {"abs": 2 * JOBS}
