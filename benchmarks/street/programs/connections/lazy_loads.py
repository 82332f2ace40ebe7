"""The lines of each order are loaded when they are asked for (`awaitable_attrs`): one more query for every order.

After https://github.com/fastapi/sqlmodel/issues/643 and https://github.com/uriyyo/fastapi-pagination/issues/808.

[street]
endpoint = "GET /orders"
cause = "await_io"
culprit = "price_of"
remedy = "once for all|selectinload|one query"
load = [{path = "/orders", n = 12}]
needs = ["far_postgres"]
"""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncAttrs, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from stamps import now, stamp


class Base(AsyncAttrs, DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "lazy_orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    lines: Mapped[list["Line"]] = relationship()


class Line(Base):
    __tablename__ = "lazy_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("lazy_orders.id"))
    price: Mapped[int]


engine = create_async_engine(os.environ["STREET_FAR_POSTGRES"].replace("postgresql:", "postgresql+asyncpg:"))
sessions = async_sessionmaker(engine)


@asynccontextmanager
async def lifespan(app):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with sessions() as db:
        db.add_all([Order(lines=[Line(price=number), Line(price=1)]) for number in range(15)])
        await db.commit()
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def price_of(order):
    lines = await order.awaitable_attrs.lines  # CULPRIT
    return sum(line.price for line in lines)


@app.get("/orders")
async def orders():
    since = now()
    async with sessions() as db:
        found = [await price_of(order) for order in (await db.execute(select(Order))).scalars().all()]
    stamp(since)  # the orders' own query and the transaction's end among them
    return found
