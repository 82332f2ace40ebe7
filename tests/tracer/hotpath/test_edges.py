"""Who ended each wait: recorded, for every way in which one task or thread wakes another."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, as_completed, wait
from typing import Any

import pytest
import uvloop

from tests.tracer.conftest import Span, Traced
from whywait import phase

Begin = Callable[..., Traced]
WAIT_S = 0.03


async def sleeper() -> None:
    await asyncio.sleep(WAIT_S)


async def by_timer() -> None:
    await asyncio.sleep(WAIT_S)


async def by_task() -> None:
    await asyncio.create_task(sleeper())


async def by_gather() -> None:
    await asyncio.gather(asyncio.sleep(WAIT_S / 3), sleeper())


async def by_wait() -> None:
    await asyncio.wait([asyncio.create_task(sleeper())])


async def by_wait_for() -> None:
    await asyncio.wait_for(sleeper(), 10)


async def by_shield() -> None:
    await asyncio.shield(sleeper())


async def by_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper())


async def by_as_completed() -> None:
    for one in asyncio.as_completed([sleeper()]):
        await one


async def by_event() -> None:
    event = asyncio.Event()

    async def setter() -> None:
        await asyncio.sleep(WAIT_S)
        event.set()

    task = asyncio.create_task(setter())
    await event.wait()
    await task


async def by_queue() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def producer() -> None:
        await asyncio.sleep(WAIT_S)
        queue.put_nowait(1)

    task = asyncio.create_task(producer())
    await queue.get()
    await task


async def by_job() -> None:
    await asyncio.get_running_loop().run_in_executor(None, time.sleep, WAIT_S)


async def by_to_thread() -> None:
    await asyncio.to_thread(time.sleep, WAIT_S)


async def by_thread() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def deliver() -> None:
        time.sleep(WAIT_S)
        loop.call_soon_threadsafe(future.set_result, None)

    thread = threading.Thread(target=deliver)
    thread.start()
    await future
    thread.join()


async def by_socket() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(WAIT_S)
        writer.write(b"x")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with phase("client"):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await reader.read()
        writer.close()
        await writer.wait_closed()
    server.close()


SHAPES: dict[Callable[[], Awaitable[None]], tuple[str, str]] = {
    by_timer: ("timer", ""),
    by_task: ("activity", "sleeper"),
    by_gather: ("activity", "sleeper"),
    by_wait: ("activity", "sleeper"),
    by_wait_for: ("activity", "sleeper"),
    by_shield: ("activity", "sleeper"),
    by_task_group: ("activity", "sleeper"),
    by_as_completed: ("activity", "sleeper"),
    by_event: ("activity", "by_event.<locals>.setter"),
    by_queue: ("activity", "by_queue.<locals>.producer"),
    by_job: ("activity", "sleep"),
    by_to_thread: ("activity", "sleep"),
    by_thread: ("thread", ""),
}


def longest_wait(spans: Traced, activity: Span) -> Span:
    waits = [span for span in spans.of_kind("wait") if span["activity"] == activity.span_id]
    return max((span for span in waits if span["wait"] == "await"), key=lambda span: span.ms)


def root_task(spans: Traced) -> Span:
    (root,) = [span for span in spans.of_kind("task") if span["root"]]
    return root


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_the_waker_is_named(
    traced_to: Begin, shape: Callable[[], Any], factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    kind, name = SHAPES[shape]
    if shape is by_wait_for and factory is not None:
        import sys

        # from 3.12 on wait_for awaits the coroutine itself: there is no other task
        kind, name = (kind, name) if sys.version_info < (3, 12) else ("timer", "")

    async def main() -> None:
        with phase("root"):
            await shape()

    spans = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    spans.stop()
    wait_span = longest_wait(spans, root_task(spans))
    assert wait_span["waker"] == kind
    assert wait_span.ms >= WAIT_S * 1000 * 0.5  # the waiter may be late itself
    if name:
        assert wait_span["waker.name"] == name
        by_id = {span.span_id: span for span in spans.spans}
        assert by_id[wait_span["waker.span_id"]].name.endswith(name)


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_roots_that_follow_each_other_within_a_step(
    traced_to: Begin, factory: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def main() -> None:
        for name in ("first", "second", "third"):
            with phase(name):
                time.sleep(WAIT_S)
                began = time.perf_counter()
                await asyncio.sleep(WAIT_S)
                slept_ms.append((time.perf_counter() - began) * 1e3)

    slept_ms: list[float] = []
    spans = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    spans.stop()
    awaited = [span for span in spans.of_kind("wait") if span["wait"] == "await"]
    assert len(awaited) == 3
    for wait_span, truth_ms in zip(awaited, slept_ms, strict=True):  # what ran before is not waited for
        assert WAIT_S * 0.8 * 1000 <= wait_span.ms <= truth_ms


def test_a_socket_is_io(traced_to: Begin) -> None:
    spans = traced_to()
    asyncio.run(by_socket())
    spans.stop()
    assert longest_wait(spans, root_task(spans))["waker"] == "io"


def test_where_it_was_awaited(traced_to: Begin) -> None:
    async def main() -> None:
        with phase("root"):
            await by_event()

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    wait_span = longest_wait(spans, root_task(spans))
    assert wait_span["for"] == "Event.wait"
    assert wait_span["for.module"] == "asyncio.locks"
    assert wait_span.attributes["code.function.name"] == "by_event"
    assert wait_span.attributes["code.file.path"] == __file__


@pytest.mark.parametrize("collect", ["result", "exception", "as_completed", "wait all", "wait first", "map"])
def test_a_thread_that_waits_names_the_job(traced_to: Begin, collect: str) -> None:
    def last(seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(2) as pool:
        if collect == "map":
            assert list(pool.map(last, [WAIT_S])) == [WAIT_S]
        else:
            job = pool.submit(last, WAIT_S)
            match collect:
                case "result":
                    assert job.result() == WAIT_S
                case "exception":
                    assert job.exception() is None
                case "as_completed":
                    assert list(as_completed([job])) == [job]
                case "wait all":
                    wait([job])
                case "wait first":
                    wait([job], return_when=FIRST_COMPLETED)
    spans.stop()
    (job_span,) = spans.of_kind("job")
    wait_span = longest_wait(spans, root_task(spans))
    assert wait_span["waker.span_id"] == job_span.span_id
    assert wait_span.ms >= WAIT_S * 1000 * 0.5  # the waiter may be late itself


def test_timeouts_of_results_still_raise(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        job = pool.submit(time.sleep, 0.05)
        with pytest.raises(TimeoutError):
            job.result(timeout=0.001)
    spans.stop()
