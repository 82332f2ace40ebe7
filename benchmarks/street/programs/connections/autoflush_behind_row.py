"""A query in a `def` endpoint sends the change before it (autoflush), and that waits for a row which an export has locked.

[street]
endpoint = "GET /reserve"
cause = "blocking_io"
culprit = "count_orders"
remedy = "whether it waits for a lock"
load = [{path = "/reserve", n = 30, clients = 3, after = 0.2}]
needs = ["postgres"]
"""

import os
import threading
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import create_engine, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from stamps import now, stamp

engine = create_engine(os.environ["STREET_POSTGRES"].replace("postgresql:", "postgresql+psycopg:"), pool_size=9)
ended = threading.Event()


class Base(DeclarativeBase):
    pass


class Stock(Base):
    __tablename__ = "stock_of_autoflush"
    id: Mapped[int] = mapped_column(primary_key=True)
    reserved: Mapped[int]


class Order(Base):
    __tablename__ = "orders_of_autoflush"
    id: Mapped[int] = mapped_column(primary_key=True)


def export():
    while not ended.is_set():
        with engine.begin() as connection:
            connection.execute(text("SELECT * FROM stock_of_autoflush FOR UPDATE"))
            time.sleep(0.15)
        ended.wait(0.05)


@asynccontextmanager
async def lifespan(app):
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.add_all([Stock(id=number, reserved=0) for number in range(30)])
        session.commit()
    thread = threading.Thread(target=export)
    thread.start()
    yield
    ended.set()
    thread.join()
    engine.dispose()


app = FastAPI(lifespan=lifespan)


def count_orders(session):
    since = now()
    found = session.scalar(select(func.count()).select_from(Order))  # CULPRIT
    stamp(since)
    return found


@app.get("/reserve")
def reserve():
    with Session(engine) as session:
        item = session.get(Stock, time.monotonic_ns() % 30)
        item.reserved += 1
        orders = count_orders(session)
        session.commit()
    return {"orders": orders}
