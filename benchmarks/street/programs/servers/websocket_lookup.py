"""Each message of a websocket is answered after a look-up that takes long.

[street]
endpoint = "WS /ask"
cause = "await_io"
culprit = "look_up"
remedy = "await_io"
load = [{path = "/ask", n = 12, pause = 0.05, kind = "websocket"}]
needs = ["upstream"]
"""

import os

import httpx
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def look_up(text):
    since = now()
    answer = await client.get("/110", params={"q": text})  # CULPRIT
    stamp(since)
    return answer.text


@app.websocket("/ask")
async def ask(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            await socket.send_text(await look_up(await socket.receive_text()))
    except WebSocketDisconnect:
        pass
