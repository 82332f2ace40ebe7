"""The synchronous psycopg in an `async def` endpoint.

[street]
endpoint = "GET /count"
cause = "blocking_io"
culprit = "count_rows"
remedy = "blocking_io/blocks_loop"
load = [{path = "/count", n = 12}]
needs = ["postgres"]
"""

import os

import psycopg
from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
connection = psycopg.connect(os.environ["STREET_POSTGRES"], autocommit=True)


def count_rows():
    since = now()
    rows = connection.execute("SELECT 1 FROM pg_sleep(0.09)").fetchone()  # CULPRIT
    stamp(since)
    return rows[0]


@app.get("/count")
async def count():
    return {"count": count_rows()}
