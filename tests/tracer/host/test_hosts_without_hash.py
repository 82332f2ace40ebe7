"""Executors and apps that cannot be hashed, or are equal to others, are traced as themselves."""

import asyncio
import gc
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.hotpath import recorder

Begin = Callable[..., Traced]


@dataclass
class Threads(ThreadPoolExecutor):
    """A dataclass has an equality of its own, and so no hash."""

    size: int

    def __post_init__(self) -> None:
        super().__init__(self.size, "of-a-dataclass")


@dataclass
class Processes(ProcessPoolExecutor):
    size: int

    def __post_init__(self) -> None:
        super().__init__(self.size, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("kind", [Threads, Processes])
def test_an_executor_without_a_hash(kind: Callable[[int], Executor], traced_to: Begin) -> None:
    with pytest.raises(TypeError):
        hash(kind(1))
    spans = traced_to()
    assert recorder.active is not None
    installed = set(recorder.active.undo)
    with phase("root"), kind(1) as first, kind(1) as second:
        assert first == second
        for pool in (first, second):
            assert pool.submit(abs, -1).result() == 1
    assert set(recorder.active.undo) == installed, "a probe was removed"
    spans.stop()
    assert len({span["pool.id"] for span in spans.named("job abs")}) == 2


@dataclass(init=False)
class App(Starlette):
    """Without a hash, and with no span of its own."""


def test_an_app_without_a_hash(traced_to: Begin) -> None:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("served")

    async def main(app: Any) -> list[str]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return [(await client.get("/one")).text for _ in range(2)]

    app = App(routes=[Route("/one", answer)])
    with pytest.raises(TypeError):
        hash(app)
    spans = traced_to()
    assert asyncio.run(main(app)) == ["served"] * 2
    spans.stop()
    assert len([span for span in spans.spans if span["root"]]) == 2


def test_what_is_kept_by_identity_ends_with_its_object() -> None:
    class Equal:
        __hash__ = None  # type: ignore[assignment]

        def __eq__(self, other: object) -> bool:
            return True

    kept: ByIdentity[str] = ByIdentity()
    first, second = Equal(), Equal()
    kept.set(first, "first")
    assert kept.get(second) is None
    kept.set(second, "second")
    kept.set(first, "first again")
    assert (kept.get(first), kept.get(second)) == ("first again", "second")
    del first
    gc.collect()
    assert len(kept) == 1
    with pytest.raises(TypeError):
        kept.set(1, "a number")
