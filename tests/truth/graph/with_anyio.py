"""anyio on asyncio: its task groups, primitives, streams and worker threads."""

import time

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

from tests.truth.graph.shape import ROOT, STEP_S, TIMER, shape


async def sleeper() -> None:
    await anyio.sleep(STEP_S)


async def late_sleeper() -> None:
    await anyio.sleep(2 * STEP_S)


def nap() -> None:
    time.sleep(STEP_S)


@shape((ROOT, "late_sleeper"), ("sleeper", TIMER), ("late_sleeper", TIMER))
async def an_anyio_task_group() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(sleeper)
        group.start_soon(late_sleeper)


@shape((ROOT, TIMER))
async def an_anyio_timeout() -> None:
    with anyio.move_on_after(STEP_S):
        await anyio.sleep_forever()


@shape((ROOT, TIMER), ("sleep_forever", ROOT))
async def an_anyio_group_that_is_cancelled() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep_forever)
        await anyio.sleep(STEP_S)
        group.cancel_scope.cancel()


@shape((ROOT, "setter"), ("setter", TIMER))
async def an_anyio_event() -> None:
    event = anyio.Event()

    async def setter() -> None:
        await anyio.sleep(STEP_S)
        event.set()

    async with anyio.create_task_group() as group:
        group.start_soon(setter)
        await event.wait()


async def turns(mutex: anyio.Lock | anyio.Semaphore | anyio.CapacityLimiter) -> None:
    """The root waits for its turn after one who holds it for a while."""

    async def holder() -> None:
        async with mutex:
            await anyio.sleep(STEP_S)

    async with anyio.create_task_group() as group:
        group.start_soon(holder)
        await anyio.lowlevel.checkpoint()
        async with mutex:
            pass


@shape((ROOT, "holder"), ("holder", TIMER))
async def an_anyio_lock() -> None:
    await turns(anyio.Lock())


@shape((ROOT, "holder"), ("holder", TIMER))
async def an_anyio_semaphore() -> None:
    await turns(anyio.Semaphore(1))


@shape((ROOT, "holder"), ("holder", TIMER))
async def an_anyio_limiter() -> None:
    await turns(anyio.CapacityLimiter(1))


@shape((ROOT, "notifier"), ("notifier", TIMER))
async def an_anyio_condition() -> None:
    condition = anyio.Condition()

    async def notifier() -> None:
        await anyio.sleep(STEP_S)
        async with condition:
            condition.notify()

    async with anyio.create_task_group() as group:
        group.start_soon(notifier)
        async with condition:
            await condition.wait()


@shape((ROOT, "sender"), ("sender", TIMER))
async def a_memory_stream_that_receives() -> None:
    send, receive = anyio.create_memory_object_stream[int](1)

    async def sender() -> None:
        await anyio.sleep(STEP_S)
        await send.send(1)

    async with send, receive, anyio.create_task_group() as group:
        group.start_soon(sender)
        assert await receive.receive() == 1


@shape((ROOT, "receiver"), ("receiver", TIMER))
async def a_memory_stream_that_is_full() -> None:
    send, receive = anyio.create_memory_object_stream[int](0)

    async def receiver() -> None:
        await anyio.sleep(STEP_S)
        assert await receive.receive() == 1

    async with send, receive, anyio.create_task_group() as group:
        group.start_soon(receiver)
        await send.send(1)


@shape((ROOT, "nap"))
async def an_anyio_job() -> None:
    await anyio.to_thread.run_sync(nap)


@shape((ROOT, "late"), ("early", "nap"), ("late", "nap"), ("late", "early"))
async def anyio_jobs_that_share_a_token() -> None:
    limiter = anyio.CapacityLimiter(1)

    async def early() -> None:
        await anyio.to_thread.run_sync(nap, limiter=limiter)

    async def late() -> None:
        await anyio.lowlevel.checkpoint()
        await anyio.to_thread.run_sync(nap, limiter=limiter)

    async with anyio.create_task_group() as group:
        group.start_soon(early)
        group.start_soon(late)


@shape((ROOT, "tell"), ("listener", "tell"))
async def an_anyio_job_whose_brief_coroutine_wakes_a_task() -> None:
    told = anyio.Event()

    async def listener() -> None:
        await told.wait()

    async def note() -> None:
        told.set()

    def tell() -> None:
        nap()
        anyio.from_thread.run(note)

    async with anyio.create_task_group() as group:
        group.start_soon(listener)
        await anyio.to_thread.run_sync(tell)


@shape((ROOT, "ask"), ("ask", "sleeper"), ("sleeper", TIMER))
async def an_anyio_job_that_asks_the_loop() -> None:
    def ask() -> None:
        anyio.from_thread.run(sleeper)

    await anyio.to_thread.run_sync(ask)
