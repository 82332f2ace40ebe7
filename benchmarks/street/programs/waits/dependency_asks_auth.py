"""Every request asks the authorisation server in a dependency; the endpoint itself is quick.

[street]
endpoint = "GET /me"
cause = "await_io"
culprit = "current_user"
remedy = "await_io"
load = [{path = "/me", n = 15, clients = 3}]
needs = ["upstream"]
"""

import os
from typing import Annotated

import httpx
from fastapi import Depends, FastAPI
from stamps import now, stamp

app = FastAPI()
client = httpx.AsyncClient(base_url=os.environ["STREET_UPSTREAM"])


async def current_user():
    since = now()
    answer = await client.get("/110")  # CULPRIT
    stamp(since)
    return answer.json()


@app.get("/me")
async def me(user: Annotated[dict, Depends(current_user)]):
    return user
