"""Litestar, with sync_to_thread=False on a handler that asks another service.

[street]
endpoint = "GET /users"
cause = "blocking_io"
culprit = "users"
remedy = "blocking_io/blocks_loop"
load = [{path = "/users", n = 12}]
needs = ["upstream", "litestar"]
"""

import os
import urllib.request

from litestar import Litestar, get
from stamps import now, stamp


@get("/users", sync_to_thread=False)
def users() -> dict[str, int]:
    since = now()
    with urllib.request.urlopen(os.environ["STREET_UPSTREAM"] + "/80") as answer:  # CULPRIT
        found = len(answer.read())
    stamp(since)
    return {"users": found}


app = Litestar([users])
