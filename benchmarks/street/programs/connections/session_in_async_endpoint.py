"""SQLAlchemy's sync session in `async def` endpoints: who asks for the third connection stops the loop, and with it
those who could release one; all stand until the pool's time limit.

After https://github.com/fastapi/fastapi/issues/3205.

[street]
endpoint = "GET /health"
cause = "loop_busy"
culprit = "offer"
remedy = "asynchronous driver"
amount = "overlap"
load = [{path = "/health", n = 40, pause = 0.05}, {path = "/offer", n = 40, clients = 4}]
needs = ["postgres", "upstream"]
"""

import os

import httpx
from fastapi import FastAPI
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine, exc, text
from sqlalchemy.orm import Session
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])
engine = create_engine(
    os.environ["STREET_POSTGRES"].replace("postgresql://", "postgresql+psycopg://"),
    pool_size=2, max_overflow=0, pool_timeout=0.25,
)  # fmt: skip


async def ask_partner():
    await client.get("/40")


@app.get("/offer")
async def offer():
    with Session(engine) as session:
        since = now()
        try:
            session.connection()  # CULPRIT
        except exc.TimeoutError:
            return JSONResponse({"error": "busy"}, 503)
        finally:
            stamp(since)
        session.execute(text("SELECT 1"))
        await ask_partner()
    return {"offer": 7}


@app.get("/health")
async def health():
    return {"ok": True}
