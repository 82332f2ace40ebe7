"""A websocket's messages are awaited with a time limit, since a silent client should be sent a ping.

[street]
endpoint = "WS /chat"
cause = "none"
culprit = ""
remedy = ""
load = [{path = "/chat", n = 8, pause = 0.2, kind = "websocket"}]
"""

import asyncio

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


@app.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            try:
                text = await asyncio.wait_for(socket.receive_text(), 5)
            except TimeoutError:
                await socket.send_text("ping")
                continue
            await socket.send_text(text.upper())
    except WebSocketDisconnect:
        pass
