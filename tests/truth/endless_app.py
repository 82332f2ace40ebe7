"""A service in which one request has a lock for ever, and others wait for it."""

import asyncio

from fastapi import FastAPI

app = FastAPI()
lock = asyncio.Lock()


@app.get("/keep")
async def keep() -> None:
    async with lock:
        await asyncio.Event().wait()


@app.get("/want/{item}")
async def want(item: int) -> int:
    async with lock:
        return item
