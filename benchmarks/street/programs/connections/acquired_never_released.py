"""An error path acquires a connection and gives none back: after two of these, all others share what is left.

After https://github.com/hushh-labs/hushh-research/issues/5871.

[street]
endpoint = "GET /cart"
cause = "connection_wait"
culprit = "coupon"
remedy = "never"
load = [{path = "/cart", n = 30, clients = 5, after = 0.5}, {path = "/coupon", n = 2}]
needs = ["postgres"]
"""

import os
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI, HTTPException
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    app.state.pool = await asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=3, max_size=3)
    yield
    app.state.pool.terminate()


app = FastAPI(lifespan=lifespan)


@app.get("/coupon")
async def coupon():
    connection = await app.state.pool.acquire()  # CULPRIT
    found = await connection.fetchval("SELECT NULL")
    if found is None:
        raise HTTPException(404)
    await app.state.pool.release(connection)
    return {"coupon": found}


@app.get("/cart")
async def cart():
    since = now()
    async with app.state.pool.acquire() as connection:
        stamp(since)
        await connection.fetchval("SELECT pg_sleep(0.02)")
    return {"articles": 1}
