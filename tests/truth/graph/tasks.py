"""Tasks and futures: awaited, gathered, grouped, shielded, timed out, cancelled."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator

from tests.truth.graph.shape import ROOT, STEP_S, THREAD, TIMER, from_version, shape


async def sleeper() -> None:
    await asyncio.sleep(STEP_S)


async def late_sleeper() -> None:
    await asyncio.sleep(2 * STEP_S)


async def latest_sleeper() -> None:
    await asyncio.sleep(3 * STEP_S)


async def failing() -> None:
    await asyncio.sleep(STEP_S)
    raise KeyError("on purpose")


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def never() -> None:
    await asyncio.Event().wait()


@shape((ROOT, TIMER))
async def a_sleep() -> None:
    await asyncio.sleep(STEP_S)


@shape((ROOT, TIMER))
async def a_call_later() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_later(STEP_S, future.set_result, None)
    await future


@shape((ROOT, TIMER))
async def a_call_at() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    loop.call_at(loop.time() + STEP_S, future.set_result, None)
    await future


@shape((ROOT, "sleeper"), ("sleeper", TIMER))
async def a_task() -> None:
    await asyncio.create_task(sleeper())


@shape((ROOT, "middle"), ("middle", "sleeper"), ("sleeper", TIMER))
async def a_chain_of_tasks() -> None:
    async def middle() -> None:
        await asyncio.create_task(sleeper())

    await asyncio.create_task(middle())


@shape((ROOT, "setter"), ("setter", TIMER))
async def a_future_set_by_a_task() -> None:
    future = asyncio.get_running_loop().create_future()

    async def setter() -> None:
        await asyncio.sleep(STEP_S)
        future.set_result(None)

    task = asyncio.create_task(setter())
    await future
    await task


@shape((ROOT, "setter"), ("setter", TIMER))
async def a_future_set_by_a_callback_of_a_callback() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    async def setter() -> None:
        await asyncio.sleep(STEP_S)
        loop.call_soon(loop.call_soon, future.set_result, None)

    task = asyncio.create_task(setter())
    await future
    await task


@shape((ROOT, "setter"), ("setter", TIMER))
async def a_future_set_by_a_done_callback() -> None:
    future = asyncio.get_running_loop().create_future()

    async def setter() -> None:
        await asyncio.sleep(STEP_S)

    task = asyncio.create_task(setter())
    task.add_done_callback(lambda _: future.set_result(None))
    await future


@shape((ROOT, THREAD))
async def a_future_set_by_a_thread() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()

    def deliver() -> None:
        time.sleep(STEP_S)
        loop.call_soon_threadsafe(future.set_result, None)

    thread = threading.Thread(target=deliver)
    thread.start()
    await future
    thread.join()


@shape((ROOT, TIMER))
async def a_future_set_by_a_short_task_of_a_timer() -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    tasks = []

    async def setter() -> None:
        future.set_result(None)

    loop.call_later(STEP_S, lambda: tasks.append(loop.create_task(setter())))
    await future


@shape((ROOT, "late_sleeper"), ("sleeper", TIMER), ("late_sleeper", TIMER))
async def a_gather() -> None:
    await asyncio.gather(late_sleeper(), sleeper())


@shape((ROOT, "late_sleeper"), ("failing", TIMER), ("late_sleeper", TIMER))
async def a_gather_that_returns_exceptions() -> None:
    await asyncio.gather(failing(), late_sleeper(), return_exceptions=True)


@shape((ROOT, "failing"), (ROOT, "late_sleeper"), ("failing", TIMER), ("late_sleeper", TIMER))
async def a_gather_that_fails() -> None:
    late = asyncio.create_task(late_sleeper())
    with contextlib.suppress(KeyError):
        await asyncio.gather(failing(), late)
    await late


@shape(
    (ROOT, "latest_sleeper"), ("sleeper", TIMER), ("late_sleeper", TIMER), ("latest_sleeper", TIMER),
)  # fmt: skip
async def gathers_in_a_gather() -> None:
    await asyncio.gather(asyncio.gather(sleeper(), latest_sleeper()), late_sleeper())


@shape((ROOT, "sleeper"), (ROOT, "late_sleeper"), ("sleeper", TIMER), ("late_sleeper", TIMER))
async def a_wait_for_the_first() -> None:
    tasks = [asyncio.create_task(late_sleeper()), asyncio.create_task(sleeper())]
    done, left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 1
    await asyncio.wait(left)


@shape((ROOT, "late_sleeper"), ("sleeper", TIMER), ("late_sleeper", TIMER))
async def a_wait_for_all() -> None:
    await asyncio.wait([asyncio.create_task(late_sleeper()), asyncio.create_task(sleeper())])


@shape((ROOT, TIMER), (ROOT, "late_sleeper"), ("late_sleeper", TIMER))
async def a_wait_that_times_out() -> None:
    task = asyncio.create_task(late_sleeper())
    done, _ = await asyncio.wait([task], timeout=STEP_S)
    assert not done
    await task


@shape((ROOT, "late_sleeper"), ("sleeper", TIMER), ("late_sleeper", TIMER))
async def a_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper())
        group.create_task(late_sleeper())


@shape((ROOT, "failing"), ("failing", TIMER), ("forever", "failing"))
async def a_task_group_whose_child_fails() -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            group.create_task(forever())


@shape((ROOT, "failing"), ("failing", TIMER))
async def a_task_group_whose_body_is_cancelled() -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(failing())
            await asyncio.get_running_loop().create_future()


@shape(
    (ROOT, "sleeper"), (ROOT, "late_sleeper"), (ROOT, "latest_sleeper"),
    ("sleeper", TIMER), ("late_sleeper", TIMER), ("latest_sleeper", TIMER),
)  # fmt: skip
async def results_as_completed() -> None:
    for one in asyncio.as_completed([latest_sleeper(), sleeper(), late_sleeper()]):
        await one


@shape((ROOT, "sleeper"), ("sleeper", TIMER))
async def a_shield() -> None:
    await asyncio.shield(sleeper())


@shape((ROOT, TIMER), ("outer", ROOT), (ROOT, "late_sleeper"), ("late_sleeper", TIMER))
async def a_shield_whose_outside_is_cancelled() -> None:
    inner = asyncio.create_task(late_sleeper())

    async def outer() -> None:
        await asyncio.shield(inner)

    task = asyncio.create_task(outer())
    await asyncio.sleep(STEP_S)
    task.cancel()
    await asyncio.wait([task])
    await inner


@shape(*from_version((3, 12), ((ROOT, TIMER),), ((ROOT, "sleeper"), ("sleeper", TIMER))))
async def a_wait_for_in_time() -> None:
    await asyncio.wait_for(sleeper(), 10)


@shape((ROOT, "sleeper"), ("sleeper", TIMER))
async def a_wait_for_a_task_in_time() -> None:
    await asyncio.wait_for(asyncio.create_task(sleeper()), 10)


@shape(
    *from_version(
        (3, 12),
        # the timeout cancels the waiter, which passes it on to the task, whose end wakes it
        ((ROOT, "forever"), ("forever", TIMER)),
        ((ROOT, TIMER), ("forever", ROOT)),
    )
)
async def a_wait_for_that_fires() -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.create_task(forever()), STEP_S)


@shape((ROOT, TIMER))
async def a_timeout_that_fires() -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STEP_S):
            await never()


@shape((ROOT, "sleeper"), ("sleeper", TIMER))
async def a_timeout_that_does_not_fire() -> None:
    async with asyncio.timeout(10):
        await asyncio.create_task(sleeper())


@shape(("canceller", TIMER), ("forever", "canceller"), (ROOT, "forever"))
async def a_task_cancelled_by_another() -> None:
    victim = asyncio.create_task(forever())

    async def canceller() -> None:
        await asyncio.sleep(STEP_S)
        victim.cancel()

    task = asyncio.create_task(canceller())
    with contextlib.suppress(asyncio.CancelledError):
        await victim
    await task


@shape((ROOT, TIMER), (ROOT, TIMER))
async def an_async_generator() -> None:
    async def numbers() -> AsyncIterator[int]:
        for number in range(2):
            await asyncio.sleep(STEP_S)
            yield number

    assert [number async for number in numbers()] == [0, 1]


@shape((ROOT, "sleeper"), ("sleeper", TIMER))
async def an_async_generator_that_awaits_a_task() -> None:
    async def results() -> AsyncIterator[None]:
        yield await asyncio.create_task(sleeper())

    async for _ in results():
        pass


@shape((ROOT, "sleeper"), ("sleeper", TIMER), since=(3, 12), loops=("asyncio",))
async def an_eager_task() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        await asyncio.create_task(sleeper())
    finally:
        loop.set_task_factory(None)


@shape(
    (ROOT, "late_sleeper"), ("sleeper", TIMER), ("late_sleeper", TIMER), (ROOT, "setter"), ("setter", TIMER),
    since=(3, 12), loops=("asyncio",),
)  # fmt: skip
async def eager_tasks_in_a_group() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    event = asyncio.Event()

    async def setter() -> None:
        await asyncio.sleep(STEP_S)
        event.set()

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(sleeper())
            group.create_task(late_sleeper())
        task = asyncio.create_task(setter())
        await event.wait()
        await task
    finally:
        loop.set_task_factory(None)
