"""QueuePool timeouts while people look at the live page: a websocket's dependency keeps its session until it is closed.

[street]
endpoint = "GET /orders"
cause = "connection_wait"
culprit = "live"
remedy = "while its websocket is open"
load = [
    {path = "/orders", n = 12, clients = 3, after = 0.3},
    {path = "/live", n = 8, kind = "websocket", pause = 0.15}, {path = "/live", n = 10, kind = "websocket", pause = 0.15},
]
needs = ["postgres"]
"""

import os
from typing import Annotated

from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from stamps import now, stamp

app = FastAPI()
engine = create_async_engine(
    os.environ["STREET_POSTGRES"].replace("postgresql:", "postgresql+asyncpg:"), pool_size=2, max_overflow=0
)
sessions = async_sessionmaker(engine)


async def session():
    async with sessions() as one:
        yield one


Session = Annotated[AsyncSession, Depends(session)]


@app.websocket("/live")
async def live(socket: WebSocket, db: Session):
    await socket.accept()
    shop = (await db.execute(text("SELECT 'the shop'"))).scalar()  # CULPRIT
    try:
        while True:
            await socket.receive_text()
            await socket.send_text(shop)
    except WebSocketDisconnect:
        pass


@app.get("/orders")
async def orders(db: Session):
    since = now()
    await db.connection()
    stamp(since)
    return {"orders": (await db.execute(text("SELECT 12"))).scalar()}
