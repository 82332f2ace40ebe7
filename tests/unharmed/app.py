"""A service that answers with who it was: which process, which trace, and what it was asked."""

import asyncio
import os
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import FastAPI
from opentelemetry import trace

import whywait

app = FastAPI()
pool = ThreadPoolExecutor(4)  # made where the module is imported: before the fork, with --preload


def in_thread(asked: str) -> int:
    with whywait.phase(f"in thread {asked}"):
        time.sleep(0.004)
    return os.getpid()


async def on_loop(asked: str) -> int:
    with whywait.phase(f"on loop {asked}"):
        await asyncio.sleep(0.004)
    return os.getpid()


@app.get("/ask/{asked}")
async def ask(asked: str) -> dict[str, str | list[int]]:
    """Works in a thread and in a task at once; returns the ids of the processes and of the trace."""
    loop = asyncio.get_running_loop()
    processes = await asyncio.gather(loop.run_in_executor(pool, in_thread, asked), on_loop(asked))
    trace_id = trace.get_current_span().get_span_context().trace_id
    return {"asked": asked, "trace_id": f"{trace_id:032x}", "processes": [*processes, os.getpid()]}


@app.get("/idle")
async def idle() -> str:
    return "nothing to do"
