"""A BaseHTTPMiddleware asks for the feature flags with a synchronous client, for every request.

[street]
endpoint = "GET /home"
cause = "blocking_io"
culprit = "flags_of"
remedy = "blocking_io/blocks_loop"
load = [{path = "/home", n = 12}]
needs = ["upstream"]
"""

import os
import urllib.request

from fastapi import FastAPI
from stamps import now, stamp
from starlette.middleware.base import BaseHTTPMiddleware

app = FastAPI()


def flags_of(user):
    since = now()
    with urllib.request.urlopen(os.environ["STREET_UPSTREAM"] + "/80?user=" + user) as answer:  # CULPRIT
        found = answer.read()
    stamp(since)
    return found


class Flags(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        request.state.flags = flags_of("anna")
        return await call_next(request)


app.add_middleware(Flags)


@app.get("/home")
async def home():
    return {"hello": "anna"}
