"""Several clients in one batch, and what happens when one of them is trouble."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import pytest

from demo_service.batcher import Policy
from demo_service.microbatch import Answers, BatchError, MicroBatcher, Overloaded
from demo_service.model.features import PodValues


def pods(*values: float) -> list[PodValues]:
    return [{"value": value} for value in values]


class Model:
    """Answers each pod with its own value; knows its batches, and can be held or poisoned."""

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def predict_many(self, asked: Sequence[PodValues]) -> Answers:
        values = [float(pod["value"]) for pod in asked]
        self.batches.append(values)
        self.begun.set()
        assert self.go_on.wait(10)
        if -1.0 in values:
            raise ValueError("poison")
        return [{"ttft_ms": value} for value in values]


@asynccontextmanager
async def batching(model: Model, *, max_wait_s: float = 0.01, max_waiting: int = 100) -> AsyncIterator[MicroBatcher]:
    with ThreadPoolExecutor(1) as pool:
        batcher = MicroBatcher(model.predict_many, pool, Policy(max_wait_s, max_rows=8), max_waiting)
        try:
            yield batcher
        finally:
            model.go_on.set()
            await batcher.aclose()


def answers(*values: float) -> Answers:
    return [{"ttft_ms": value} for value in values]


def test_requests_are_joined_and_each_gets_its_own_rows() -> None:
    async def story() -> None:
        model = Model()
        async with batching(model) as batcher:
            got = await asyncio.gather(
                batcher.predict(pods(1, 2)), batcher.predict(pods(3)), batcher.predict(pods(4, 5, 6))
            )
        assert got == [answers(1, 2), answers(3), answers(4, 5, 6)]
        assert model.batches == [[1, 2, 3, 4, 5, 6]]

    asyncio.run(story())


def test_a_batch_is_bounded_and_requests_stay_whole() -> None:
    async def story() -> None:
        model = Model()
        async with batching(model) as batcher:
            got = await asyncio.gather(*(batcher.predict(pods(n, n, n)) for n in range(5)))
        assert got == [answers(n, n, n) for n in range(5)]
        assert [len(batch) for batch in model.batches] == [6, 6, 3]

    asyncio.run(story())


def test_a_client_cancelled_while_waiting_leaves_the_batch() -> None:
    async def story() -> None:
        model = Model()
        async with batching(model, max_wait_s=0.05) as batcher:
            gone = asyncio.create_task(batcher.predict(pods(1)))
            stays = asyncio.create_task(batcher.predict(pods(2)))
            await asyncio.sleep(0)
            gone.cancel()
            assert await stays == answers(2)
            with pytest.raises(asyncio.CancelledError):
                await gone
        assert model.batches == [[2]]

    asyncio.run(story())


def test_a_client_cancelled_during_its_batch_harms_nobody() -> None:
    async def story() -> None:
        model = Model()
        model.go_on.clear()
        async with batching(model) as batcher:
            gone = asyncio.create_task(batcher.predict(pods(1)))
            stays = asyncio.create_task(batcher.predict(pods(2)))
            await asyncio.to_thread(model.begun.wait, 10)
            gone.cancel()
            with pytest.raises(asyncio.CancelledError):
                await gone
            model.go_on.set()
            assert await stays == answers(2)
            assert await batcher.predict(pods(3)) == answers(3)
        assert model.batches == [[1, 2], [3]]

    asyncio.run(story())


def test_a_poisoned_batch_reaches_each_of_its_requests_and_no_other() -> None:
    async def story() -> None:
        model = Model()
        async with batching(model) as batcher:
            both = await asyncio.gather(batcher.predict(pods(1)), batcher.predict(pods(-1)), return_exceptions=True)
            assert [type(one) for one in both] == [BatchError, BatchError]
            assert both[0] is not both[1]
            assert isinstance(both[0].__cause__, ValueError)
            assert await batcher.predict(pods(2)) == answers(2)

    asyncio.run(story())


def test_closing_answers_who_waits_and_refuses_who_comes_later() -> None:
    async def story() -> None:
        model = Model()
        async with batching(model, max_wait_s=3600) as batcher:
            waiting = asyncio.create_task(batcher.predict(pods(1)))
            await asyncio.sleep(0)
            await batcher.aclose()
            assert await waiting == answers(1)
            with pytest.raises(Overloaded):
                await batcher.predict(pods(2))

    asyncio.run(story())


def test_too_many_waiting_pods_are_refused() -> None:
    async def story() -> None:
        model = Model()
        async with batching(model, max_wait_s=0.05, max_waiting=3) as batcher:
            first = asyncio.create_task(batcher.predict(pods(1, 2)))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded, match="2 pods are waiting"):
                await batcher.predict(pods(3, 4))
            assert await first == answers(1, 2)

    asyncio.run(story())
