"""QueuePool timeouts of quick endpoints: a stream of events keeps its dependency's session until its last byte.

After https://github.com/aegra/aegra/issues/423.

[street]
endpoint = "GET /article"
cause = "connection_wait"
culprit = "tokens"
remedy = "connection_wait"
load = [{path = "/article", n = 30, clients = 3, after = 0.3}, {path = "/chat", n = 16, clients = 4}]
needs = ["postgres", "upstream"]
"""

import os
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from stamps import now, stamp

app = FastAPI()
engine = create_async_engine(
    os.environ["STREET_POSTGRES"].replace("postgresql:", "postgresql+asyncpg:"), pool_size=2, max_overflow=0
)
sessions = async_sessionmaker(engine)
model = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def session():
    async with sessions() as one:
        yield one


Session = Annotated[AsyncSession, Depends(session)]


async def tokens(history):
    for _ in range(history):
        answer = await model.get("/50")  # CULPRIT
        yield f"data: {answer.text}\n\n"


@app.get("/chat")
async def chat(db: Session):
    history = (await db.execute(text("SELECT 6"))).scalar()
    return StreamingResponse(tokens(history), media_type="text/event-stream")


@app.get("/article")
async def article(db: Session):
    since = now()
    await db.connection()
    stamp(since)
    return {"title": (await db.execute(text("SELECT 'On waiting'"))).scalar()}
