"""NullPool, 'because of an error with event loops in the tests': each request connects to a database that is far away.

After https://github.com/MagicStack/asyncpg/issues/863 and https://github.com/nadeemlab/smprofiler/issues/450.

[street]
endpoint = "GET /user"
cause = "await_io"
culprit = "user_of"
remedy = "await_io/connects"
load = [{path = "/user", n = 24, clients = 2}]
needs = ["far_postgres"]
"""

import os

from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.pool import NullPool
from stamps import now, stamp

app = FastAPI()
engine = create_async_engine(
    os.environ["STREET_FAR_POSTGRES"].replace("postgresql:", "postgresql+asyncpg:"), poolclass=NullPool
)
sessions = async_sessionmaker(engine)


async def user_of(number):
    since = now()
    async with sessions() as db:
        found = (await db.execute(text("SELECT :number"), {"number": str(number)})).scalar()  # CULPRIT
    stamp(since)  # it connects, asks, and closes
    return found


@app.get("/user")
async def user():
    return {"user": await user_of(5)}
