"""A pure ASGI middleware signs every answer, line by line, on the loop: its endpoints look slow.

[street]
endpoint = "GET /orders"
cause = "compute"
culprit = "signature"
remedy = "compute/computes_on_loop"
load = [{path = "/orders", n = 12}]
"""

import hashlib
import hmac
import time

from fastapi import FastAPI
from stamps import now, stamp
from starlette.responses import PlainTextResponse

TEXT = "".join(f"{number};article {number};{number / 7:.2f}\n" for number in range(20_000))


def signature(body):
    before, found = time.thread_time_ns(), b""
    for line in body.splitlines():
        found = hmac.new(b"key", found + line, hashlib.sha256).digest()  # CULPRIT
    stamp(now() - (time.thread_time_ns() - before))
    return found.hex().encode()


class Signed:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        start = None

        async def signed(message):
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start:
                start["headers"].append((b"x-signature", signature(message["body"])))
                await send(start)
                start = None
            await send(message)

        await self.app(scope, receive, signed)


app = FastAPI()
app.add_middleware(Signed)


@app.get("/orders")
async def orders():
    return PlainTextResponse(TEXT)
