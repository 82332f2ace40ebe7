"""SQLAlchemy: QueuePool limit reached; the session stays checked out while another service is asked.

[street]
endpoint = "GET /order"
cause = "connection_wait"
culprit = "ask_warehouse"
remedy = "connection_wait"
load = [{path = "/order", n = 48, clients = 8}]
needs = ["postgres", "upstream"]
"""

import os
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from stamps import now, stamp

app = FastAPI()
engine = create_async_engine(
    os.environ["STREET_POSTGRES"].replace("postgresql:", "postgresql+asyncpg:"), pool_size=2, max_overflow=0
)
sessions = async_sessionmaker(engine)
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def session():
    async with sessions() as one:
        yield one


async def load_order(db):
    since = now()
    await db.connection()
    stamp(since)
    return (await db.execute(text("SELECT 7"))).scalar()


async def ask_warehouse(order):
    answer = await client.get("/80")  # CULPRIT
    return answer.status_code


@app.get("/order")
async def order(db: Annotated[AsyncSession, Depends(session)]):
    number = await load_order(db)
    return {"order": number, "stock": await ask_warehouse(number)}
