"""Queues, locks, semaphores, events, conditions, barriers of asyncio: woken by who gave way."""

import asyncio

from tests.truth.graph.shape import ROOT, STEP_S, TIMER, shape


@shape((ROOT, "producer"), ("producer", TIMER))
async def a_get_woken_by_a_put() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()

    async def producer() -> None:
        await asyncio.sleep(STEP_S)
        await queue.put(1)

    task = asyncio.create_task(producer())
    await queue.get()
    await task


@shape((ROOT, "consumer"), ("consumer", TIMER))
async def a_put_woken_by_a_get() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    queue.put_nowait(0)

    async def consumer() -> None:
        await asyncio.sleep(STEP_S)
        queue.get_nowait()

    task = asyncio.create_task(consumer())
    await queue.put(1)
    await task


@shape((ROOT, "consumer"), ("consumer", TIMER), ("consumer", TIMER))
async def a_join_woken_by_task_done() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    for number in range(2):
        queue.put_nowait(number)

    async def consumer() -> None:
        while not queue.empty():
            await queue.get()
            await asyncio.sleep(STEP_S)
            queue.task_done()

    task = asyncio.create_task(consumer())
    await queue.join()
    await task


async def turns(mutex: asyncio.Lock | asyncio.Semaphore) -> None:
    """The root waits for its turn after one who holds it for a while."""

    async def holder() -> None:
        async with mutex:
            await asyncio.sleep(STEP_S)

    task = asyncio.create_task(holder())
    await asyncio.sleep(0)
    async with mutex:
        pass
    await task


@shape((ROOT, "holder"), ("holder", TIMER))
async def a_lock() -> None:
    await turns(asyncio.Lock())


@shape((ROOT, "holder"), ("holder", TIMER))
async def a_semaphore() -> None:
    await turns(asyncio.Semaphore(1))


@shape((ROOT, "holder"), ("holder", TIMER))
async def a_bounded_semaphore() -> None:
    await turns(asyncio.BoundedSemaphore(1))


@shape(
    ("holder", TIMER), ("holder", TIMER), ("holder", TIMER), ("holder", "holder"), ("holder", "holder"),
    (ROOT, "holder"),
)  # fmt: skip
async def a_queue_for_a_lock() -> None:
    lock = asyncio.Lock()

    async def holder() -> None:
        async with lock:
            await asyncio.sleep(STEP_S)

    await asyncio.gather(*(holder() for _ in range(3)))


@shape((ROOT, "setter"), ("setter", TIMER))
async def an_event() -> None:
    event = asyncio.Event()

    async def setter() -> None:
        await asyncio.sleep(STEP_S)
        event.set()

    task = asyncio.create_task(setter())
    await event.wait()
    await task


@shape((ROOT, TIMER), ("waiter", ROOT), ("waiter", ROOT))
async def an_event_with_many_waiters() -> None:
    event = asyncio.Event()

    async def waiter() -> None:
        await event.wait()

    tasks = [asyncio.create_task(waiter()) for _ in range(2)]
    await asyncio.sleep(STEP_S)
    event.set()
    await asyncio.gather(*tasks)


@shape((ROOT, "notifier"), ("notifier", TIMER))
async def a_condition() -> None:
    condition = asyncio.Condition()

    async def notifier() -> None:
        await asyncio.sleep(STEP_S)
        async with condition:
            condition.notify()

    task = asyncio.create_task(notifier())
    async with condition:
        await condition.wait()
    await task


@shape(
    (ROOT, "notifier"), (ROOT, "notifier"), ("notifier", TIMER), ("notifier", TIMER),
)  # fmt: skip
async def a_condition_whose_lock_is_kept() -> None:
    condition = asyncio.Condition()

    async def notifier() -> None:
        await asyncio.sleep(STEP_S)
        async with condition:
            condition.notify()
            await asyncio.sleep(STEP_S)  # who was notified cannot go on before the lock is free

    task = asyncio.create_task(notifier())
    async with condition:
        await condition.wait()
    await task


@shape((ROOT, "late_party"), ("late_party", TIMER))
async def a_barrier() -> None:
    barrier = asyncio.Barrier(2)

    async def late_party() -> None:
        await asyncio.sleep(STEP_S)
        await barrier.wait()

    task = asyncio.create_task(late_party())
    await barrier.wait()
    await task
