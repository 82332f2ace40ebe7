"""A service whose requests have work that nobody waits for as it ends: handled late, left behind, or given up."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request, Response
from opentelemetry import trace
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint

pool = ThreadPoolExecutor(4, "workers")
kept: set[object] = set()  # asyncio itself keeps tasks by weak references only


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    with pool:
        list(pool.map(time.sleep, [0.01] * 4))
        yield


async def _through_a_task(request: Request, call_next: RequestResponseEndpoint) -> Response:
    return await call_next(request)


router = APIRouter()


def nap(ms: float) -> float:
    time.sleep(ms / 1000)
    return ms


def handle(ms: float) -> None:
    """Computes, so that results become ready meanwhile."""
    until = time.perf_counter() + ms / 1000
    while time.perf_counter() < until:
        pass


def submitted(*lengths_ms: float) -> Iterator["asyncio.Future[float]"]:
    loop = asyncio.get_running_loop()
    for ms in lengths_ms:
        yield loop.run_in_executor(pool, nap, ms)


@router.get("/idle")
async def idle() -> None:
    pass


@router.get("/ready_in_order")
def ready_in_order() -> None:
    for job in [pool.submit(nap, ms) for ms in (30, 45, 60, 90)]:
        job.result()
        handle(20)


@router.get("/ready_as_they_come")
def ready_as_they_come() -> None:
    with ThreadPoolExecutor(3) as fresh:
        for job in as_completed([fresh.submit(nap, ms) for ms in (30, 38, 46, 20, 35, 28, 31)]):
            job.result()
            handle(12)


@router.get("/ready_in_a_span")
def ready_in_a_span() -> None:
    """The host's own span lies between."""
    with trace.get_tracer("host").start_as_current_span("rank"):
        ready_as_they_come()


@router.get("/awaited_as_they_come")
async def awaited_as_they_come() -> None:
    for one in asyncio.as_completed([*submitted(30, 38, 46, 20)]):
        await one
        handle(12)


@router.get("/left_behind")
async def left_behind() -> None:
    """A job and a task go on after the response."""
    kept.add(pool.submit(nap, 300))
    kept.add(asyncio.create_task(asyncio.sleep(0.2)))
    await asyncio.sleep(0.06)


@router.get("/ended_meanwhile")
async def ended_meanwhile() -> None:
    """A job and a task end while the loop is held; then another job is waited for."""
    kept.add(pool.submit(nap, 40))
    kept.add(asyncio.create_task(asyncio.sleep(0.01)))
    await asyncio.sleep(0.02)
    handle(60)
    (last,) = submitted(40)
    await last


@router.get("/given_up")
async def given_up() -> None:
    slow, fast = submitted(400, 30)
    await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
    kept.add(slow)
    handle(20)
    try:
        (late,) = submitted(200)
        await asyncio.wait_for(late, 0.03)
    except TimeoutError:
        handle(10)


app = FastAPI(lifespan=lifespan)
app.include_router(router)
# what most services have: the endpoint runs in a task, and the middleware waits for what that sends
layered = FastAPI(lifespan=lifespan, middleware=[Middleware(BaseHTTPMiddleware, dispatch=_through_a_task)])
layered.include_router(router)
