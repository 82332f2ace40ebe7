"""Programs whose request waits inside the function that a worker thread runs, or for that worker."""

import _thread
import asyncio
import contextlib
import logging
import multiprocessing
import os
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

from benchmarks.observed.on_loop import nap
from benchmarks.observed.program import WAIT_S, loop_program
from whywait import phase


async def in_worker(name: str, function: Callable[[], int]) -> int:
    """The request: one job, whose result is what it waited."""
    with phase(name):
        return await asyncio.get_running_loop().run_in_executor(None, function)


@loop_program("lock_wait", "lock_wait", culprit="keeper")
async def lock_wait() -> int:
    return await behind(threading.Lock(), "lock_wait")


@loop_program("lock_wait (a lock nobody watched)", "lock_wait")
async def unwatched_lock() -> int:
    return await behind(_thread.allocate_lock(), "lock_wait (a lock nobody watched)")


async def behind(lock: "threading.Lock", name: str) -> int:
    held = threading.Event()

    def keeper() -> None:
        with lock:
            held.set()
            time.sleep(WAIT_S)

    def wait() -> int:
        began_ns = time.perf_counter_ns()
        with lock:
            return time.perf_counter_ns() - began_ns

    other = threading.Thread(target=keeper)
    other.start()
    held.wait()
    try:
        return await in_worker(name, wait)
    finally:
        other.join()


@loop_program("connection_wait", "connection_wait", culprit="holder")
async def connection_wait() -> int:
    from sqlalchemy.pool import QueuePool

    pool = QueuePool(lambda: sqlite3.connect(":memory:", check_same_thread=False), pool_size=1, max_overflow=0)
    held = threading.Event()

    def holder() -> None:
        with phase("another request"), contextlib.closing(pool.connect()):
            held.set()
            time.sleep(WAIT_S)

    def wait() -> int:
        began_ns = time.perf_counter_ns()
        with contextlib.closing(pool.connect()):
            return time.perf_counter_ns() - began_ns

    other = threading.Thread(target=holder)
    other.start()
    held.wait()
    try:
        return await in_worker("connection_wait", wait)
    finally:
        other.join()
        pool.dispose()


class SlowHandler(logging.Handler):
    """Stands for a slow disk."""

    def emit(self, record: logging.LogRecord) -> None:
        time.sleep(WAIT_S)


@loop_program("logging_wait", "logging_wait", culprit="SlowHandler")
async def logging_wait() -> int:
    log = logging.Logger("observed")
    log.addHandler(SlowHandler())

    def write() -> int:
        began_ns = time.perf_counter_ns()
        log.warning("one line")
        return time.perf_counter_ns() - began_ns

    return await in_worker("logging_wait", write)


@loop_program("blocking_io", "blocking_io")
async def blocking_io() -> int:
    def wait() -> int:
        began_ns = time.perf_counter_ns()
        time.sleep(WAIT_S)
        return time.perf_counter_ns() - began_ns

    return await in_worker("blocking_io", wait)


@loop_program("blocking_io (a call nobody timed)", "blocking_io")
async def untimed_call() -> int:
    outlet, inlet = os.pipe()

    def wait() -> int:
        began_ns = time.perf_counter_ns()
        os.read(outlet, 1)
        return time.perf_counter_ns() - began_ns

    threading.Timer(WAIT_S, os.write, (inlet, b"x")).start()
    try:
        return await in_worker("blocking_io (a call nobody timed)", wait)
    finally:
        os.close(outlet)
        os.close(inlet)


def occupy(seconds: float) -> int:
    """What another request has the pool's one worker do."""
    return nap(seconds)


@loop_program("pool_queue", "pool_queue", culprit="occupy")
async def pool_queue() -> int:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        return await queue_behind(pool, "pool_queue")


@loop_program("pool_queue (processes)", "pool_queue", culprit="occupy")
async def process_queue() -> int:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(nap, 0).result()
        return await queue_behind(pool, "pool_queue (processes)")


async def queue_behind(pool: ThreadPoolExecutor | ProcessPoolExecutor, name: str) -> int:
    loop = asyncio.get_running_loop()

    async def another() -> int:
        with phase("another request"):
            return await loop.run_in_executor(pool, occupy, WAIT_S)

    other = asyncio.create_task(another())
    await asyncio.sleep(0.005)
    with phase(name):
        began_ns = time.perf_counter_ns()
        own = loop.run_in_executor(pool, nap, 0.005)
        free_ns = await other
        await own
    return free_ns - began_ns


@loop_program("pool_startup", "pool_startup", culprit="pool_startup")
async def pool_startup() -> int:
    with phase("pool_startup"):
        began_ns = time.perf_counter_ns()
        pool = ThreadPoolExecutor(1, initializer=time.sleep, initargs=(WAIT_S,))
        began_job_ns = await asyncio.get_running_loop().run_in_executor(pool, time.perf_counter_ns)
    pool.shutdown()
    return began_job_ns - began_ns


@loop_program("pool_shutdown", "pool_shutdown", culprit="pool_shutdown")
async def pool_shutdown() -> int:
    pool = ThreadPoolExecutor(1)
    pool.submit(nap, WAIT_S)  # of no request
    with phase("pool_shutdown"):
        began_ns = time.perf_counter_ns()
        pool.shutdown()
        return time.perf_counter_ns() - began_ns
