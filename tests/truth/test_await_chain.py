"""Waits inside real client libraries, and behind tasks of no request: told by the user's function, against stamps that
the program itself takes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pandas as pd
import pytest
import uvloop
from opentelemetry import trace

from testbed.slow_http import slow_http_server
from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, phase

__all__ = ["traced_to"]
DELAY_S = 0.08
LOOPS = pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
Program = Callable[[str], Awaitable[None]]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with slow_http_server(DELAY_S) as server:
        yield f"{server}/rate"


async def with_httpx(url: str) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        await client.get(url)


async def with_httpx_together(url: str) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        await asyncio.gather(client.get(url), client.get(url))


async def with_httpx_and_a_limit(url: str) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        await asyncio.wait_for(client.get(url), 9)


async def with_aiohttp(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        await answer.text()


async def in_a_client_span(url: str) -> None:
    about = {"http.request.method": "GET", "url.full": url}
    async with httpx.AsyncClient(verify=False) as client:
        with trace.get_tracer("test").start_as_current_span("GET", kind=trace.SpanKind.CLIENT, attributes=about):
            await client.get(url)


TOLD = {
    with_httpx: "waiting for AsyncClient.get (httpx, GET 127.0.0.1:{port}) in ",
    with_httpx_together: "waiting for AsyncClient.get (httpx, GET 127.0.0.1:{port}) in ",
    with_httpx_and_a_limit: "waiting for AsyncClient.get (httpx, GET 127.0.0.1:{port}) in ",
    with_aiohttp: "waiting for ClientSession.get (aiohttp, GET 127.0.0.1:{port}) in ",
    in_a_client_span: "waiting for GET 127.0.0.1:{port}/rate (httpx) in ",
}


def causes_of(traced: Traced, program: Callable[[], Awaitable[None]], new_loop: Any) -> tuple[pd.DataFrame, float]:
    """The causes of a request that runs the program, and how long that took, ms, as it saw it itself."""

    async def main() -> float:
        with phase("request"):
            began = time.perf_counter()
            await program()
            return (time.perf_counter() - began) * 1e3

    with asyncio.Runner(loop_factory=new_loop) as runner:
        took_ms = runner.run(main())
    traced.stop()
    return analysis.attribute(analysis.load_traces(traced.output)), took_ms


def shown(causes: pd.DataFrame) -> str:
    return str(causes[["cause", "detail", "culprit", "amount_ns"]].to_string())


@LOOPS
@pytest.mark.parametrize("program", TOLD, ids=lambda one: one.__name__)
def test_a_slow_answer_is_told_by_the_librarys_function_and_the_users(
    traced_to: Callable[..., Traced], url: str, program: Program, new_loop: Any
) -> None:
    causes, took_ms = causes_of(traced_to(), lambda: program(url), new_loop)
    port = url.split(":")[2].split("/")[0]
    answer = causes[causes["detail"].str.startswith(TOLD[program].format(port=port) + program.__name__)]
    assert DELAY_S * 950 <= answer["amount_ns"].sum() / 1e6 <= took_ms, shown(causes)
    assert set(answer["cause"]) == {"await_io"}
    assert set(answer["culprit"]) == {program.__name__}
    assert set(answer["culprit_file"]) == {__file__}


async def through_pipes() -> None:
    child = await asyncio.create_subprocess_exec("sleep", str(DELAY_S), stdout=asyncio.subprocess.PIPE)
    await child.communicate()


async def until_its_exit() -> None:
    child = await asyncio.create_subprocess_exec("sleep", str(DELAY_S))
    await child.wait()


CHILDREN = {through_pipes: "Process.communicate", until_its_exit: "Process.wait"}


@LOOPS
@pytest.mark.parametrize("program", CHILDREN, ids=lambda one: one.__name__)
def test_a_child_process_is_told_by_the_users_call(
    traced_to: Callable[..., Traced], program: Callable[[], Awaitable[None]], new_loop: Any
) -> None:
    causes, took_ms = causes_of(traced_to(), program, new_loop)
    told = f"waiting for {CHILDREN[program]} (asyncio) in {program.__name__}"
    child = causes[causes["detail"].str.startswith(told)]
    assert 0.9 * DELAY_S * 1e3 <= child["amount_ns"].sum() / 1e6 <= took_ms, shown(causes)
    assert set(child["cause"]) == {"await_io"}


class Batcher:
    """Gathers what comes within a window, then works on all of it in a thread."""

    WINDOW_S, WORK_S = 0.06, 0.04

    def __init__(self) -> None:
        self.queue: asyncio.Queue[asyncio.Future[None]] = asyncio.Queue()
        self.gathered_ms = self.worked_ms = 0.0

    def work(self) -> None:
        began = time.perf_counter()
        time.sleep(self.WORK_S)
        self.worked_ms = (time.perf_counter() - began) * 1e3

    async def run(self) -> None:
        while True:
            batch = [await self.queue.get()]
            began = time.perf_counter()
            await self.gather(batch, began + self.WINDOW_S)
            self.gathered_ms = (time.perf_counter() - began) * 1e3
            await asyncio.to_thread(self.work)
            for future in batch:
                future.set_result(None)

    async def gather(self, batch: list[asyncio.Future[None]], until: float) -> None:
        while (left := until - time.perf_counter()) > 0:
            try:
                batch.append(await asyncio.wait_for(self.queue.get(), left))
            except TimeoutError:
                return


@LOOPS
def test_a_batchers_window_is_a_timer_and_its_job_is_told_by_name(
    traced_to: Callable[..., Traced], new_loop: Any
) -> None:
    batcher = Batcher()

    async def score() -> None:
        future = asyncio.get_running_loop().create_future()
        batcher.queue.put_nowait(future)
        await future

    spans = traced_to()

    async def main() -> list[float]:
        serving = asyncio.create_task(batcher.run())
        await asyncio.sleep(0)
        await asyncio.gather(*(asked(number) for number in range(2)))
        serving.cancel()
        return took_ms

    async def asked(number: int) -> None:
        await asyncio.sleep(0.02 * number)
        with phase("request"):
            began = time.perf_counter()
            await score()
            took_ms.append((time.perf_counter() - began) * 1e3)

    took_ms: list[float] = []
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())
    spans.stop()
    causes = analysis.attribute(analysis.load_traces(spans.output))
    window = causes[(causes["cause"] == "await_io") & causes["culprit"].str.startswith("Batcher.")]
    work = causes[(causes["cause"] == "blocking_io") & (causes["culprit"] == "Batcher.work")]
    # the first waited for the whole window, the second for what was left of it
    whole_ms = 2 * batcher.gathered_ms - 20
    assert whole_ms * 0.9 <= window["amount_ns"].sum() / 1e6 <= whole_ms * 1.05, shown(causes)
    # the loop may still run when the job begins
    assert 2 * batcher.worked_ms * 0.8 <= work["amount_ns"].sum() / 1e6 <= 2 * batcher.worked_ms * 1.05, shown(causes)
    explained = causes[causes["cause"] != "unexplained"]["amount_ns"].sum()
    assert explained / causes["amount_ns"].sum() >= 0.95, shown(causes)


def test_what_blocks_the_loop_while_an_engine_should_feed_a_request_is_told(traced_to: Callable[..., Traced]) -> None:
    blocked_ms = 0.0

    def tokenize() -> None:
        nonlocal blocked_ms
        began = time.perf_counter()
        time.sleep(DELAY_S)
        blocked_ms = (time.perf_counter() - began) * 1e3

    async def engine(queue: "asyncio.Queue[int]") -> None:
        while True:
            await asyncio.sleep(0.02)
            queue.put_nowait(1)

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        serving = asyncio.create_task(engine(queue))
        asyncio.get_running_loop().call_later(0.05, tokenize)
        await asyncio.sleep(0)
        with phase("request"):
            for _ in range(5):
                await queue.get()
        serving.cancel()

    spans = traced_to()
    with asyncio.Runner() as runner:
        runner.run(main())
    spans.stop()
    causes = analysis.attribute(analysis.load_traces(spans.output))
    busy = causes[(causes["cause"] == "loop_busy") & causes["culprit"].str.endswith("tokenize")]
    timers = causes[causes["detail"].str.startswith("a timer: sleep in ")]
    # the engine's timer was due 10 ms after `tokenize` began
    assert (blocked_ms - 10) * 0.85 <= busy["amount_ns"].sum() / 1e6 <= blocked_ms, shown(causes)
    assert set(timers["culprit"].str.rsplit(".", n=1).str[-1]) == {"engine"}
