"""An aiohttp service awaits a slow upstream.

[street]
endpoint = "GET /price"
cause = "await_io"
culprit = "price"
remedy = "await_io"
load = [{path = "/price", n = 15, clients = 2}]
needs = ["upstream"]
server = "own"
"""

import asyncio
import os

import httpx
import uvloop
from aiohttp import web
from stamps import now, stamp


async def price(request):
    since = now()
    await request.app["client"].get("/120")  # CULPRIT
    stamp(since)
    return web.json_response({"price": 7})


async def client(app):
    async with httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"]) as app["client"]:
        yield


app = web.Application()
app.cleanup_ctx.append(client)
app.router.add_get("/price", price)

if __name__ == "__main__":
    loop = uvloop.new_event_loop() if os.environ["STREET_LOOP"] == "uvloop" else asyncio.new_event_loop()
    web.run_app(app, host="127.0.0.1", port=int(os.environ["STREET_PORT"]), print=None, loop=loop)
