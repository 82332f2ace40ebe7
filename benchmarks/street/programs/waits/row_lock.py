"""An UPDATE waits for a row: the transactions of others keep it locked while they ask the payment service.

After https://github.com/infrahq/infra/issues/3966 ("we update, then we make a call; all subsequent requests block").

[street]
endpoint = "GET /pay"
cause = "await_io"
culprit = "debit"
remedy = "await_io"
load = [{path = "/pay", n = 25, clients = 5}]
needs = ["postgres", "upstream"]
"""

import os
from contextlib import asynccontextmanager

import asyncpg
import httpx
from fastapi import FastAPI
from stamps import now, stamp

bank = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=10, max_size=10) as app.state.pool:
        await app.state.pool.execute("CREATE TABLE IF NOT EXISTS row_lock (id int, balance int)")
        await app.state.pool.execute("DELETE FROM row_lock")
        await app.state.pool.execute("INSERT INTO row_lock VALUES (1, 1000)")
        yield


app = FastAPI(lifespan=lifespan)


async def debit(connection, account):
    await connection.execute("UPDATE row_lock SET balance = balance - 1 WHERE id = $1", account)  # CULPRIT


async def ask_bank():
    await bank.get("/50")


@app.get("/pay")
async def pay():
    since = now()
    async with app.state.pool.acquire() as connection, connection.transaction():
        await debit(connection, 1)
        await ask_bank()
    stamp(since)  # the bank's 50 ms are a wait as well, and the row's is four times as long
    return {"paid": True}
