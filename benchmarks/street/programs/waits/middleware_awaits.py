"""A BaseHTTPMiddleware of one's own looks something up before each request.

[street]
endpoint = "GET /"
cause = "await_io"
culprit = "Tenant.dispatch"
remedy = "await_io"
load = [{path = "/", n = 15, clients = 2}]
needs = ["upstream"]
"""

import os

import httpx
from fastapi import FastAPI
from stamps import now, stamp
from starlette.middleware.base import BaseHTTPMiddleware

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


class Tenant(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        since = now()
        await client.get("/100")  # CULPRIT
        stamp(since)
        return await call_next(request)


app = FastAPI()
app.add_middleware(Tenant)


@app.get("/")
async def index():
    return {"hello": "world"}
