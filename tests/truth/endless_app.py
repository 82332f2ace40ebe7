"""A service in which one request has a lock for ever, and others wait for it; the same of aiohttp's own server:

python -m tests.truth.endless_app PORT GRACE_S
"""

import asyncio
import sys
from typing import Any

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


def serve_aiohttp(port: int, grace_s: float) -> None:
    from aiohttp import web

    async def root(_: Any) -> web.Response:
        return web.Response()

    async def keeps(_: Any) -> web.Response:
        await keep()
        return web.Response()

    async def wants(request: Any) -> web.Response:
        return web.Response(text=str(await want(int(request.match_info["item"]))))

    served = web.Application()
    served.add_routes([web.get("/", root), web.get("/keep", keeps), web.get("/want/{item}", wants)])
    web.run_app(served, host="127.0.0.1", port=port, shutdown_timeout=grace_s, print=None)


if __name__ == "__main__":
    serve_aiohttp(int(sys.argv[1]), float(sys.argv[2]))
