"""A websocket that is open for long: its client is silent between messages, each is answered at once.

[street]
endpoint = "WS /chat"
cause = "none"
culprit = ""
remedy = ""
load = [{path = "/chat", n = 12, pause = 0.1, kind = "websocket"}]
"""

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

app = FastAPI()


@app.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    try:
        while True:
            text = await socket.receive_text()
            await socket.send_text(f"you said {text}")
    except WebSocketDisconnect:
        pass
