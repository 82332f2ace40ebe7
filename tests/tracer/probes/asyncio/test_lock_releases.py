"""Who had the lock or semaphore that a task was in line for: the line where the holder stood, not the server's coroutine."""

import asyncio
import time
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from tests.tracer.conftest import Span, Traced
from whywait import phase
from whywait.tracer.schema import CODE_FUNCTION

Begin = Callable[..., Traced]
MAKES: dict[str, Callable[[], Any]] = {
    "Semaphore": lambda: asyncio.Semaphore(1),
    "BoundedSemaphore": lambda: asyncio.BoundedSemaphore(1),
    "Lock": asyncio.Lock,
    "anyio's Semaphore": lambda: anyio.Semaphore(1),
    "anyio's Lock": anyio.Lock,
    "anyio's CapacityLimiter": lambda: anyio.CapacityLimiter(1),
}
HELD_S = 0.03


def released(spans: Traced) -> list[Span]:
    return [one for one in spans.of_kind("wait") if one["wait"] == "await" and one["blocker.function"]]


async def keeper(shared: Any, taken: asyncio.Event) -> int:
    with phase("keeper's"):
        async with shared:
            taken.set()
            await asyncio.sleep(HELD_S)
            return time.perf_counter_ns()


async def victim(shared: Any, taken: asyncio.Event) -> int:
    await taken.wait()
    with phase("victim's"):
        begun_ns = time.perf_counter_ns()
        async with shared:
            return begun_ns


async def contend(make: Callable[[], Any]) -> int:
    """How long the victim was in line, in ns: until the keeper gave back."""
    shared, taken = make(), asyncio.Event()
    given_back_ns, begun_ns = await asyncio.gather(keeper(shared, taken), victim(shared, taken))
    return given_back_ns - begun_ns


@pytest.mark.parametrize("kind", MAKES)
def test_who_waited_knows_the_line_where_the_holder_stood(traced_to: Begin, kind: str) -> None:
    spans = traced_to()
    in_line_ns = asyncio.run(contend(MAKES[kind]))
    spans.stop()
    own, other = spans.one("victim's").trace_id, spans.one("keeper's").trace_id
    (wait,) = [one for one in released(spans) if one.trace_id == own]
    first = keeper.__code__.co_firstlineno
    assert wait["blocker.function"] == "keeper"
    assert wait["blocker.file"] == __file__
    assert wait["blocker.line"] == first + 4  # its sleep, not the `async with` that gives back
    assert wait["blocker.trace_id"] == other
    assert wait["blocker.ns"] == pytest.approx(wait.ms * 1e6, abs=1_000)
    assert wait.ms * 1e6 >= 0.9 * in_line_ns > 0


@pytest.mark.parametrize("kind", MAKES)
def test_a_lock_has_one_number_on_every_line_that_waits_for_it(traced_to: Begin, kind: str) -> None:
    """Two lines wait for one lock, and one of them for another one as well."""
    spans = traced_to()

    async def main() -> None:
        one, other = MAKES[kind](), MAKES[kind]()

        async def elsewhere(shared: Any, taken: asyncio.Event) -> None:
            await taken.wait()
            with phase("elsewhere's"):
                async with shared:
                    pass

        of_one, of_other = asyncio.Event(), asyncio.Event()
        await asyncio.gather(
            keeper(one, of_one),
            victim(one, of_one),
            elsewhere(one, of_one),
            keeper(other, of_other),
            victim(other, of_other),
        )

    asyncio.run(main())
    spans.stop()
    numbers: dict[str, list[int]] = {}
    for wait in released(spans):
        numbers.setdefault(wait.attributes[CODE_FUNCTION].rpartition(".")[2], []).append(wait["lock.id"])
    (shared,) = numbers["elsewhere"]
    assert len(set(numbers["victim"])) == 2
    assert shared in numbers["victim"]


async def helper_of_the_holder(seconds: float) -> None:
    await asyncio.sleep(seconds)


@pytest.mark.parametrize("computes", [False, True])
@pytest.mark.parametrize("kind", ["Semaphore", "Lock", "anyio's Lock"])
def test_where_the_holder_awaited_is_told_unless_it_ran_for_longer(traced_to: Begin, kind: str, computes: bool) -> None:
    """Each waits for the lock before it holds it: that is no part of its hold."""
    spans = traced_to()

    async def in_line(shared: Any) -> None:
        with phase("in line"):
            async with shared:
                await asyncio.sleep(0.004)
                if computes:
                    time.sleep(0.03)
                await helper_of_the_holder(0.012)

    async def main() -> None:
        shared = MAKES[kind]()
        await asyncio.gather(*(in_line(shared) for _ in range(4)))

    asyncio.run(main())
    spans.stop()
    waits = released(spans)
    assert len(waits) == 3
    wanted = "in_line" if computes else "helper_of_the_holder"
    assert [one["blocker.function"].rpartition(".")[2] for one in waits] == [wanted] * 3


def test_of_a_holder_of_no_request_the_line_where_it_stood_is_told(traced_to: Begin) -> None:
    spans = traced_to()

    async def main() -> None:
        shared = asyncio.Lock()

        async def refresh() -> None:
            async with shared:
                await asyncio.sleep(0)  # its first wait makes the task known
                await helper_of_the_holder(0.03)

        async def ask() -> None:
            with phase("asks"):
                async with shared:
                    pass

        background = asyncio.create_task(refresh())
        await asyncio.sleep(0.005)
        await asyncio.gather(ask(), ask())
        await background

    asyncio.run(main())
    spans.stop()
    assert {one["blocker.function"] for one in released(spans)} == {"helper_of_the_holder"}


def test_each_of_those_who_had_the_lock_meanwhile_is_told_for_how_long(traced_to: Begin) -> None:
    spans = traced_to()

    async def holder(shared: asyncio.Lock, name: str, seconds: float) -> None:
        with phase(name):
            async with shared:
                await asyncio.sleep(seconds)

    async def main() -> None:
        shared = asyncio.Lock()
        await asyncio.gather(*(holder(shared, *one) for one in (("long", 0.03), ("brief", 0.003), ("last", 0))))

    asyncio.run(main())
    spans.stop()
    ids = {spans.one(name).trace_id: name for name in ("long", "brief", "last")}
    (wait,) = [one for one in released(spans) if ids[one.trace_id] == "last"]
    shares = dict(zip((ids[one] for one in wait["blockers.trace_ids"]), wait["blockers.ns"], strict=True))
    assert sum(shares.values()) == pytest.approx(wait.ms * 1e6, abs=1_000)
    assert shares["long"] > 3 * shares["brief"] > 0


def test_what_nobody_waits_for_is_not_written_down(traced_to: Begin) -> None:
    spans = traced_to()

    async def alone() -> None:
        shared = asyncio.Lock()
        with phase("alone"):
            for _ in range(3):
                async with shared:
                    await asyncio.sleep(0.001)

    asyncio.run(alone())
    spans.stop()
    assert not released(spans)


@pytest.mark.parametrize("kind", ["Lock", "BoundedSemaphore", "anyio's Lock"])
def test_a_release_too_many_is_refused_as_ever(traced_to: Begin, kind: str) -> None:
    async def too_many() -> "tuple[type[BaseException], str, list[str]]":
        shared = MAKES[kind]()
        try:
            shared.release()
        except Exception as error:
            functions = [one.name for one in traceback.extract_tb(error.__traceback__)]
            return type(error), str(error), functions
        raise AssertionError("not refused")

    plainly = asyncio.run(too_many())
    traced_to()
    assert asyncio.run(too_many()) == plainly
