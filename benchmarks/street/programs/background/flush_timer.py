"""A batcher without a task: the first item sets `loop.call_later`, whose call answers all that came meanwhile. One client.

[street]
endpoint = "GET /classify"
cause = "await_io"
culprit = "submit"
remedy = "await_io/window"
load = [{path = "/classify", n = 24, pause = 0.01}]
"""

import asyncio
import hashlib

from stamps import now, stamp
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

WINDOW_S, SIZE = 0.06, 32


class Batcher:
    def __init__(self):
        self.items = []
        self.timer = None

    async def submit(self, text):
        loop = asyncio.get_running_loop()
        self.items.append((text, future := loop.create_future(), now()))
        if len(self.items) == SIZE:
            self.flush()
        elif self.timer is None:
            self.timer = loop.call_later(WINDOW_S, self.flush)
        return await future  # CULPRIT

    def flush(self):
        self.timer.cancel()
        items, self.items, self.timer = self.items, [], None
        stamp(items[0][2])
        self.running = asyncio.ensure_future(answer(items))


async def answer(items):
    labels = await asyncio.to_thread(predict, [text for text, _, _ in items])
    for (_, future, _), label in zip(items, labels, strict=True):
        future.set_result(label)


def predict(texts):
    return [hashlib.pbkdf2_hmac("sha256", text.encode(), b"model", 5_000)[0] % 7 for text in texts]


batcher = Batcher()


async def classify(request):
    return JSONResponse({"label": await batcher.submit(str(request.url))})


app = Starlette(routes=[Route("/classify", classify)])
