"""A streamed answer: an asynchronous generator asks an upstream for each part.

[street]
endpoint = "GET /chat"
cause = "await_io"
culprit = "tokens"
remedy = "await_io"
load = [{path = "/chat", n = 8, clients = 2}]
needs = ["upstream"]
"""

import os

import httpx
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def tokens():
    for _ in range(5):
        since = now()
        answer = await client.get("/40")  # CULPRIT
        stamp(since)
        yield answer.content


@app.get("/chat")
async def chat():
    return StreamingResponse(tokens())
