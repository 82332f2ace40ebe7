"""A service in which frameworks and wrappers stand around each of its functions."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator
from typing import Annotated, Any

from asgiref.sync import sync_to_async
from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

app = FastAPI()
MS = 60


def compute() -> None:
    """Compute for `MS` of this thread's CPU time."""
    until_ns = time.thread_time_ns() + MS * 1_000_000
    while time.thread_time_ns() < until_ns:
        sum(range(200))


def score() -> None:
    compute()


@contextlib.contextmanager
def measured() -> Iterator[None]:
    yield


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def around(*args: Any, **kwargs: Any) -> Any:
        with measured():
            return function(*args, **kwargs)

    return around


@app.get("/idle")
async def idle() -> str:
    return "idle"


@app.get("/loop")
async def on_loop() -> str:
    score()
    return "done"


@app.get("/worker")
def on_worker() -> str:
    score()
    return "done"


@app.get("/decorated")
@logged
def decorated() -> str:
    time.sleep(MS / 1e3)
    return "done"


def session() -> Iterator[int]:
    time.sleep(MS / 1e3)
    yield 1


@app.get("/dependency")
async def dependency(one: Annotated[int, Depends(session)]) -> int:
    return one


def legacy() -> None:
    time.sleep(MS / 1e3)


@app.get("/asgiref")
async def through_asgiref() -> None:
    await sync_to_async(legacy, thread_sensitive=False)()


@app.get("/threadpool")
async def through_threadpool() -> None:
    await run_in_threadpool(functools.partial(legacy))
