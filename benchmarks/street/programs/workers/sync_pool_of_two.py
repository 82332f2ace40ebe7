"""SQLAlchemy's sync sessions in `def` endpoints: pool_size=2, no overflow, and a slow mail inside the session.

[street]
endpoint = "GET /invite"
cause = "connection_wait"
culprit = "send_invitation"
remedy = "connection_wait"
load = [{path = "/invite", n = 36, clients = 6}]
needs = ["postgres"]
"""

import os
import time

from fastapi import FastAPI
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session
from stamps import now, stamp

app = FastAPI()
engine = create_engine(
    os.environ["STREET_POSTGRES"].replace("postgresql://", "postgresql+psycopg://"), pool_size=2, max_overflow=0
)


def send_invitation():
    time.sleep(0.05)  # CULPRIT


@app.get("/invite")
def invite():
    with Session(engine) as session:
        since = now()
        session.connection()
        stamp(since)
        session.execute(text("SELECT 1"))
        send_invitation()
    return {"sent": True}
