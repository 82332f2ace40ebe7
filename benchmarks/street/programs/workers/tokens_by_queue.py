"""A language model's streamer: a thread generates tokens into a queue.Queue, and a plain generator streams them.

After https://github.com/huggingface/transformers (TextIteratorStreamer in FastAPI).

[street]
endpoint = "GET /chat"
cause = "blocking_io"
culprit = "next_token"
remedy = "blocking_io"
load = [{path = "/chat", n = 12, clients = 2}]
"""

import queue
import threading
import time

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from stamps import now, stamp

app = FastAPI()


def next_token(number):
    time.sleep(0.04)  # CULPRIT
    return f"token {number} "


def generate(out):
    for number in range(6):
        out.put(next_token(number))
    out.put(None)


def streamed():
    out = queue.Queue()
    threading.Thread(target=generate, args=(out,)).start()
    while True:
        since = now()
        token = out.get()
        stamp(since)
        if token is None:
            return
        yield token


@app.get("/chat")
async def chat():
    return StreamingResponse(streamed())
