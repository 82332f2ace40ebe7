"""A service that ends in several ways: run by test_endings.py."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    if os.environ.get("FAILS_AT") == "startup":
        raise RuntimeError("startup")
    yield
    if os.environ.get("FAILS_AT") == "shutdown":
        raise RuntimeError("shutdown")


app = FastAPI(lifespan=lifespan)


@app.get("/work")
async def work() -> str:
    await asyncio.sleep(0.001)
    return "done"


@app.get("/parts")
async def parts() -> str:
    """A request of many records: its spans take tens of milliseconds to build."""
    await asyncio.gather(*(asyncio.sleep(0.02 + number * 1e-5) for number in range(400)))
    return "done"


@app.get("/hang")
async def hang() -> None:
    await asyncio.sleep(60)


@app.get("/exit")
async def leave() -> None:
    os._exit(7)
