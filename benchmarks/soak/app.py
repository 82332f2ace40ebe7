"""The demo's service, with the endpoints that a process should survive: threads that end, each with a loop of its own,
forks, child processes, process pools and long streams."""

import asyncio
import multiprocessing
import os
import sys
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ProcessPoolExecutor

from fastapi.responses import StreamingResponse

from demo_service.app import create_app
from demo_service.settings import from_environment

CHUNKS = 2000
THREADS = 10

app = create_app(from_environment())


@app.get("/threads")
async def threads() -> int:
    """Ten threads, each of which runs a loop and ends."""
    started = [threading.Thread(target=asyncio.run, args=(asyncio.sleep(0.001),)) for _ in range(THREADS)]
    for one in started:
        one.start()
    for one in started:
        await asyncio.to_thread(one.join)
    return len(started)


@app.get("/fork")
async def fork() -> int:
    """A forked child that does nothing and is waited for."""
    child = os.fork()
    if child == 0:
        os._exit(0)
    return (await asyncio.to_thread(os.waitpid, child, 0))[1]


@app.get("/child")
async def child() -> int:
    """A Python that is no service."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", "pass")
    return await process.wait()


@app.get("/pool")
async def pool() -> int:
    """A process pool made for one job, in a thread."""

    def job() -> int:
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as made:
            return made.submit(abs, -1).result()

    return await asyncio.to_thread(job)


@app.get("/stream")
async def stream() -> StreamingResponse:
    """Two thousand chunks, each after a turn of the loop."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(CHUNKS):
            await asyncio.sleep(0)
            yield b"x" * 100

    return StreamingResponse(chunks())
