"""Resolvers of GraphQL each ask the database for their own row, all at once, through the pool's three connections.

[street]
endpoint = "GET /orders"
cause = "connection_wait"
culprit = "one"
remedy = "Ask the database once for all of them"
amount = "overlap"
load = [{path = "/orders", n = 8}]
needs = ["postgres", "strawberry"]
"""

import os
from contextlib import asynccontextmanager

import asyncpg
import strawberry
from fastapi import FastAPI
from stamps import now, stamp


@asynccontextmanager
async def lifespan(app):
    async with asyncpg.create_pool(os.environ["STREET_POSTGRES"], min_size=3, max_size=3) as app.state.pool:
        yield


app = FastAPI(lifespan=lifespan)


async def one(sql, *args):
    since = now()
    async with app.state.pool.acquire() as connection:  # CULPRIT
        stamp(since)
        return await connection.fetchval(sql, *args)  # CULPRIT


@strawberry.type
class Order:
    id: int

    @strawberry.field
    async def customer(self) -> str:
        return await one("SELECT 'customer ' || $1::int FROM pg_sleep(0.004)", self.id)


@strawberry.type
class Query:
    @strawberry.field
    async def orders(self) -> list[Order]:
        return [Order(id=number) for number in range(60)]


schema = strawberry.Schema(Query)


@app.get("/orders")
async def orders():
    return (await schema.execute("{ orders { id customer } }")).data
