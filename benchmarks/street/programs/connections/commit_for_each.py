"""A commit and a refresh for each row of a batch, where one commit after all of them would serve: round trips.

[street]
endpoint = "GET /close"
cause = "await_io"
culprit = "mark_closed"
remedy = "Commit once"
load = [{path = "/close", n = 15}]
needs = ["far_postgres"]
"""

import os
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from stamps import now, stamp


class Base(DeclarativeBase):
    pass


class Invoice(Base):
    __tablename__ = "invoices_to_close"
    id: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[str]


engine = create_async_engine(os.environ["STREET_FAR_POSTGRES"].replace("postgresql:", "postgresql+asyncpg:"))
sessions = async_sessionmaker(engine)


@asynccontextmanager
async def lifespan(app):
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.run_sync(Base.metadata.create_all)
    async with sessions() as session:
        session.add_all([Invoice(status="open") for _ in range(6)])
        await session.commit()
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def mark_closed(session, invoice):
    invoice.status = f"closed {now()}"
    await session.commit()  # CULPRIT
    await session.refresh(invoice)  # CULPRIT
    return invoice.status


@app.get("/close")
async def close():
    since = now()
    async with sessions() as session:
        found = (await session.scalars(select(Invoice).order_by(Invoice.id))).all()
        closed = [await mark_closed(session, one) for one in found]
    stamp(since)  # the query for all of them, and the session's end, among them
    return closed
