"""Starlette on hypercorn: the slow call stands in a helper of a helper.

[street]
endpoint = "GET /plan"
cause = "await_io"
culprit = "ask_planner"
remedy = "await_io"
load = [{path = "/plan", n = 15, clients = 2}]
needs = ["upstream"]
server = "hypercorn"
"""

import os

import httpx
from stamps import now, stamp
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def ask_planner():
    since = now()
    answer = await client.get("/120")  # CULPRIT
    stamp(since)
    return answer.json()


async def plan_for(request):
    return JSONResponse(await ask_planner())


app = Starlette(routes=[Route("/plan", plan_for)])
