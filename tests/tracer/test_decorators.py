"""`traced` and `phase`: how long, under which parent, and that the host notices nothing."""

import asyncio
import inspect
import statistics
import time
import traceback
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.tracer.conftest import Traced
from whywait import phase, traced

Begin = Callable[..., Traced]


@traced
def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@traced(name="fetch")
async def fetch(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "fetched"


@traced
def rows(count: int, seconds: float) -> Iterator[int]:
    for number in range(count):
        time.sleep(seconds)
        yield number


@traced
async def pages(count: int, seconds: float) -> AsyncIterator[int]:
    for number in range(count):
        await asyncio.sleep(seconds)
        yield number


class Shop:
    @traced
    def sell(self) -> str:
        return "sold"

    @traced
    @classmethod
    def make(cls) -> str:
        return cls.__name__

    @staticmethod
    @traced
    def greet() -> str:
        return "hello"


def test_a_function_takes_what_it_takes(traced_to: Begin) -> None:
    spans = traced_to()
    assert nap(0.03) == 0.03
    spans.stop()
    span = spans.one("nap")
    assert span.ms >= 30
    assert span["kind"] == "phase"
    assert span["cpu_ns"] < 25e6
    assert span.attributes["code.function.name"] == "nap"
    assert span.attributes["code.file.path"] == __file__


def test_nesting_and_one_trace(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("outer"), phase("inner"):
        nap(0.001)
    spans.stop()
    outer, inner, leaf = spans.one("outer"), spans.one("inner"), spans.one("nap")
    assert {inner.trace_id, leaf.trace_id} == {outer.trace_id}
    assert outer.parent_id == ""
    (task,) = spans.of_kind("task")
    assert task.parent_id == outer.span_id
    blocks = {block.span_id: block.parent_id for block in spans.of_kind("block")}  # one, or it was too short
    assert blocks.get(inner.parent_id, inner.parent_id) == task.span_id
    assert blocks.get(leaf.parent_id, leaf.parent_id) == inner.span_id
    assert outer.start_ns <= inner.start_ns <= inner.end_ns <= outer.end_ns


def test_what_opens_a_request_is_its_computing(traced_to: Begin) -> None:
    """Else it seems blocked, and is told as a wait for the GIL where samples show no other."""
    opening, inside = [], []
    spans = traced_to(keep="all")
    for _ in range(20):
        before = time.thread_time_ns()
        with phase("opened"):
            begun = time.thread_time_ns()
            while time.thread_time_ns() - begun < 1_000_000:
                pass
            inside.append(time.thread_time_ns() - begun)
        opening.append(begun - before)
    spans.stop()
    told = [span["cpu_ns"] for span in spans.named("opened")]
    assert len(told) == len(opening)
    more = statistics.median(cpu - known for cpu, known in zip(told, inside, strict=True))
    assert more > 0.5 * statistics.median(opening)


def test_a_coroutine_and_its_cpu(traced_to: Begin) -> None:
    def spin(seconds: float) -> None:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass

    async def other() -> None:
        for _ in range(10):
            spin(0.004)
            await asyncio.sleep(0)

    async def main() -> None:
        with phase("root"):
            busy = asyncio.create_task(other())
            assert await fetch(0.05) == "fetched"
            await busy

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    span = spans.one("fetch")
    assert span.ms >= 45
    assert span["cpu_ns"] < 20e6, "it was charged what another task computed"


def test_a_generator_lasts_from_its_first_step_to_its_last(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"):
        assert list(rows(3, 0.01)) == [0, 1, 2]
    spans.stop()
    named = spans.named("rows")
    life = max(named, key=lambda span: span.ms)
    steps = [span for span in named if span["kind"] == "phase"]
    assert life.ms >= 30
    assert life["kind"] is None, "the life of a generator is its consumer's time too"
    assert len(steps) == 4
    assert sum(span.ms for span in steps) >= 30


def test_an_async_generator_too(traced_to: Begin) -> None:
    async def main() -> list[int]:
        with phase("root"):
            return [page async for page in pages(3, 0.01)]

    spans = traced_to()
    assert asyncio.run(main()) == [0, 1, 2]
    spans.stop()
    assert max(span.ms for span in spans.named("pages")) >= 28


def test_methods_of_every_kind(traced_to: Begin) -> None:
    spans = traced_to()
    assert (Shop().sell(), Shop.make(), Shop.greet()) == ("sold", "Shop", "hello")
    spans.stop()
    assert {span.name for span in spans.of_kind("phase")} == {"Shop.sell", "Shop.make", "Shop.greet"}


def test_an_exception_passes_as_it_was(traced_to: Begin) -> None:
    @traced
    def fail() -> None:
        raise ValueError("secret value")

    spans = traced_to()
    with pytest.raises(ValueError, match="secret value") as caught:
        fail()
    spans.stop()
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames[-1] == "fail"
    span = spans.one("test_an_exception_passes_as_it_was.<locals>.fail")
    assert span.error
    assert span.attributes["error.type"] == "ValueError"
    assert "secret" not in repr(span), "the text of an exception was recorded"


def test_generators_behave_as_without(traced_to: Begin) -> None:
    def talk() -> Iterator[object]:
        received = []
        try:
            while True:
                try:
                    received.append((yield len(received)))
                except KeyError:
                    received.append("caught")
        finally:
            seen.append(received)

    def drive(function: Callable[[], Iterator[object]]) -> list[object]:
        generator = function()
        got = [next(generator), generator.send("a"), generator.throw(KeyError("x")), generator.send("b")]
        generator.close()
        return got

    seen: list[list[object]] = []
    spans = traced_to()
    assert drive(talk) == drive(traced(talk))
    spans.stop()
    assert seen[0] == seen[1] == ["a", "caught", "b"]


def test_kinds_and_names_stay(traced_to: Begin) -> None:
    assert inspect.iscoroutinefunction(fetch)
    assert inspect.isgeneratorfunction(rows)
    assert inspect.isasyncgenfunction(pages)
    assert nap.__name__ == "nap"
    assert fetch.__name__ == "fetch"
    with pytest.raises(TypeError, match="traced expects a function"):
        traced(3)  # type: ignore[type-var]


def test_cancellation_reaches_the_coroutine(traced_to: Begin) -> None:
    async def main() -> None:
        with phase("root"):
            task = asyncio.create_task(fetch(10))
            await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    spans = traced_to()
    asyncio.run(main())
    spans.stop()
    assert spans.one("fetch").attributes["error.type"] == "CancelledError"


def test_not_started_nothing_happens() -> None:
    with phase("nobody looks"):
        assert nap(0.0) == 0.0
    assert list(rows(2, 0)) == [0, 1]
