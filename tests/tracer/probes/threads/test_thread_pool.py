"""Executors: rounds, occupants, context, and what a host must not notice."""

import asyncio
import contextvars
import functools
import inspect
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, thread
from concurrent.futures.thread import BrokenThreadPool

import anyio
import anyio.to_thread
import pytest
from opentelemetry import trace

from tests.tracer.conftest import Traced
from whywait import analysis, phase
from whywait.tracer import schema
from whywait.tracer.hotpath.thread_state import forget_here

Begin = Callable[..., Traced]
NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="unset")


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def timed(function: Callable[..., float]) -> Callable[..., float]:
    @functools.wraps(function)
    def call(*args: float) -> float:
        return function(*args)

    return call


@timed
def decorated_nap(seconds: float) -> float:
    return nap(seconds)


def spin(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_cpu_and_blocked_time_of_a_job(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1, "only") as pool:
        pool.submit(spin, 0.02).result()
        pool.submit(nap, 0.03).result()
    spans.stop()
    busy, asleep = spans.one("spin"), spans.one("nap")
    assert busy["cpu_ns"] >= 18e6
    assert asleep["cpu_ns"] < 10e6
    assert asleep.ms >= 30
    assert busy.attributes["thread.name"].startswith("only")
    assert busy["run_queue_ns"] is not None


def test_a_full_pool_names_its_occupants(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(2, "pair") as pool:
        list(pool.map(nap, [0.02] * 6))
    spans.stop()
    waits = [span for span in spans.of_kind("wait") if span["wait"] == "pool_queue"]
    jobs = {span.span_id for span in spans.of_kind("job")}
    assert len(waits) == 4
    for wait in waits:
        assert wait["pool.name"] == "pair"
        assert wait["pool.size"] == 2
        assert set(wait["occupant.span_ids"]) <= jobs - {wait["activity"]}
        assert sum(wait["occupant.ns"]) + wait["occupant.other_ns"] == wait.end_ns - wait.start_ns


def test_a_slow_initializer_is_startup(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1, initializer=nap, initargs=(0.03,)) as pool:
        pool.submit(nap, 0.001).result()
    spans.stop()
    job = spans.one("job nap").span_id
    waits = [span for span in spans.of_kind("wait") if span["wait"] == "pool_startup"]
    (wait,) = [span for span in waits if span["activity"] == job]  # the submitter may have waited too
    assert wait.ms >= 28
    assert wait["pool.function"].endswith("test_a_slow_initializer_is_startup")
    assert wait["pool.file"] == __file__


def test_a_failing_initializer_fails_as_untraced(traced_to: Begin, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise KeyError("no model")

    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1, initializer=fail) as pool, pytest.raises(BrokenThreadPool):
        pool.submit(nap, 0.001).result()
    spans.stop()
    (record,) = [one for one in caplog.records if one.name == "concurrent.futures"]
    assert record.exc_info is not None
    files = [frame.filename for frame in traceback.extract_tb(record.exc_info[2])]
    assert files[-1] == __file__
    assert set(files[:-1]) == {thread.__file__}


def test_shutdown_waits_for_its_last_job(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        pool.submit(nap, 0.03)
    spans.stop()
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "pool_shutdown" and span.ms > 5]
    assert wait["waker.span_id"] == spans.one("job nap").span_id


def test_a_job_that_fails_and_one_never_begun(traced_to: Begin) -> None:
    def fail() -> None:
        raise KeyError("secret")

    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        first = pool.submit(fail)
        pool.submit(nap, 0.02)
        never = pool.submit(nap, 5)
        assert never.cancel()
        with pytest.raises(KeyError):
            first.result()
    spans.stop()
    outcomes = {span.name: span["outcome"] for span in spans.of_kind("job") if span["outcome"] != "ok"}
    assert outcomes == {"job test_a_job_that_fails_and_one_never_begun.<locals>.fail": "error", "job nap": "cancelled"}


def test_a_pool_that_is_shut_down_refuses_as_ever(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"):
        pool = ThreadPoolExecutor(1)
        pool.shutdown()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            pool.submit(nap, 0)
    spans.stop()
    assert spans.of_kind("job") == []


def test_the_hosts_variables_are_what_they_were(traced_to: Begin) -> None:
    def what() -> str:
        return NAME.get()

    async def main() -> tuple[str, str]:
        NAME.set("caller")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, what), await asyncio.to_thread(what)

    async def rooted() -> tuple[str, str]:
        with phase("root"):
            return await main()

    without = asyncio.run(main())
    spans = traced_to()
    assert asyncio.run(rooted()) == without == ("unset", "caller")
    spans.stop()


@pytest.mark.parametrize("way", ["submit", "run_in_executor", "to_thread", "anyio"])
def test_spans_of_the_host_nest_below_the_job(traced_to: Begin, way: str) -> None:
    def work() -> None:
        with trace.get_tracer("host").start_as_current_span("query"):
            time.sleep(0.001)

    async def main() -> None:
        with phase("root"), ThreadPoolExecutor(1) as pool:
            match way:
                case "submit":
                    pool.submit(work).result()
                case "run_in_executor":
                    await asyncio.get_running_loop().run_in_executor(pool, work)
                case "to_thread":
                    await asyncio.to_thread(work)
                case "anyio":
                    await anyio.to_thread.run_sync(work)

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    (run,) = spans.of_kind("run")
    assert spans.one("query").parent_id == run.span_id
    assert spans.one("query").trace_id == run.trace_id


@pytest.mark.parametrize(
    ("limit_s", "abandons", "is_told"), [(0.03, False, True), (0.03, True, False), (None, False, False)]
)
def test_a_job_knows_the_time_limit_that_cannot_end_it(
    traced_to: Begin, limit_s: float | None, *, abandons: bool, is_told: bool
) -> None:
    async def main() -> None:
        with phase("root"), anyio.move_on_after(limit_s):
            await anyio.to_thread.run_sync(nap, 0.1, abandon_on_cancel=abandons)
        await asyncio.sleep(0.1)  # of a thread that is abandoned

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    told = spans.one("job nap").attributes.get(schema.LIMIT_NS)
    assert (told is not None) is is_told
    if told is not None:
        assert told == pytest.approx(30e6, abs=5e6)  # from its submit, which comes after the scope began


def test_a_limiter_delays_the_job_it_lets_in_late(traced_to: Begin) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(1)
        with phase("root"):
            async with anyio.create_task_group() as group:
                for _ in range(2):
                    group.start_soon(lambda: anyio.to_thread.run_sync(nap, 0.03, limiter=limiter))

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    first, second = spans.named("job nap")
    assert second.start_ns >= spans.named("nap")[0].end_ns, "the second job had its token before the first ended"
    held = [
        span
        for span in spans.of_kind("wait")
        if "acquire_on_behalf_of" in str(span["for"]) or "Event" in str(span["for"])
    ]
    assert any(span.ms >= 20 for span in held)
    assert first["pool.name"] == "CapacityLimiter", "not that of all `def` endpoints"


def test_a_job_of_a_job(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(2) as pool:
        pool.submit(lambda: pool.submit(nap, 0.01).result()).result()
    spans.stop()
    inner = spans.one("job nap")
    outer = next(span for span in spans.of_kind("job") if span.span_id != inner.span_id)
    assert inner["spawned_by"] == outer.span_id


def test_work_outside_any_trace_leaves_no_span_and_still_occupies(traced_to: Begin) -> None:
    spans = traced_to()
    with ThreadPoolExecutor(1) as pool:
        background = pool.submit(nap, 0.05)
        with phase("root"):
            pool.submit(nap, 0.001).result()
        background.result()
    spans.stop()
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "pool_queue"]
    assert wait["occupant.names"] == ["nap"]
    assert wait["occupant.trace_ids"] == [""]
    assert (wait["occupant.files"], wait["occupant.lines"]) == ([__file__], [nap.__code__.co_firstlineno])
    assert len(spans.of_kind("run")) == 1


def test_a_decorated_job_stands_where_the_user_wrote_it(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        first = pool.submit(decorated_nap, 0.03)
        pool.submit(decorated_nap, 0.0).result()
        first.result()
    spans.stop()
    line = inspect.unwrap(decorated_nap).__code__.co_firstlineno
    runs = spans.named("decorated_nap")
    assert {run.attributes["code.line.number"] for run in runs} == {line}
    found = analysis.analyze(spans.output).culprits
    queued = found[found["cause"] == "pool_queue"]
    assert set(queued["culprit"]) == {"decorated_nap"}
    assert set(queued["culprit_file"]) == {__file__}
    assert set(queued["culprit_line"]) == {line}


def test_a_job_in_whose_midst_a_child_was_forked_ends_in_the_child(traced_to: Begin) -> None:
    """What its thread noted of itself is the parent's, and forgotten there."""

    def forked() -> int:
        forget_here()
        return 1

    spans = traced_to(sampler=False)
    with ThreadPoolExecutor(1) as pool, phase("root"):
        assert [pool.submit(work).result() for work in (int, forked, int)] == [0, 1, 0]
    spans.stop()
    assert len(spans.of_kind("run")) == 3
