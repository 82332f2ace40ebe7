"""Each request opens a websocket, asks one thing, and leaves the connection: its server, busy after each answer, is slow to
say goodbye, and the client waits for that.

After https://github.com/python-websockets/websockets/issues/1487 ("client initiated close always runs into close_timeout").

[street]
endpoint = "GET /price"
cause = "await_io"
culprit = "read_price"
remedy = "Open the connection once"
load = [{path = "/price", n = 15}]
needs = ["websockets"]
"""

import asyncio
import sys
from contextlib import asynccontextmanager

from stamps import now, stamp
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.asyncio.client import connect

FEED = """
import asyncio, time
from websockets.asyncio.server import serve
async def answer(socket):
    async for message in socket:
        await socket.send(f"{message}: 5")
        asyncio.get_running_loop().call_later(0.005, time.sleep, 0.12)
async def main():
    async with serve(answer, "127.0.0.1", 0) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()
asyncio.run(main())
"""


@asynccontextmanager
async def lifespan(app):
    feed = await asyncio.create_subprocess_exec(sys.executable, "-c", FEED, stdout=asyncio.subprocess.PIPE)
    app.state.feed = f"ws://127.0.0.1:{int(await feed.stdout.readline())}"
    yield
    feed.kill()
    await feed.wait()


async def read_price(url):
    since = now()
    async with connect(url) as feed:  # CULPRIT
        await feed.send("abc")
        price = await feed.recv()
        await asyncio.sleep(0.01)  # what it makes of the answer; the feed is busy by then
    stamp(since)  # most of it is the end of the `async with`
    return price


async def price(request):
    return PlainTextResponse(await read_price(request.app.state.feed))


app = Starlette(routes=[Route("/price", price)], lifespan=lifespan)
