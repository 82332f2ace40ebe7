"""A chat room: each message is sent to all members, one after another, and one of them reads slowly.

[street]
endpoint = "WS /room"
cause = "request_io"
culprit = "broadcast"
remedy = "request_io/slow_reader"
load = [{path = "/room", n = 30, kind = "websocket"}]
"""

import socket
import threading
import time

from stamps import now, stamp
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

PAGE = "x" * 1_000_000
HELLO = (
    b"GET /room HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: c2FtcGxlIG5vbmNlLi4uLg==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
members = []


def read_slowly(port):
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 30_000)
        client.connect(("127.0.0.1", port))
        client.sendall(HELLO)
        while client.recv(60_000):
            time.sleep(0.01)


async def broadcast(text):
    for member in list(members):
        since = now()
        await member.send_text(text)  # CULPRIT
        stamp(since)


async def room(websocket):
    await websocket.accept()
    members.append(websocket)
    if len(members) == 1:  # the slow one comes second
        threading.Thread(target=read_slowly, args=(websocket.scope["server"][1],), daemon=True).start()
    try:
        while True:
            await websocket.receive_text()
            await broadcast(PAGE)
    except WebSocketDisconnect:
        pass
    finally:
        members.remove(websocket)


app = Starlette(routes=[WebSocketRoute("/room", room)])
