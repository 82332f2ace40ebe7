"""urllib3 in `def` endpoints: a pool of two connections, made with block=True, and six clients.

After https://github.com/psf/requests/issues/4664, where a session's adapter is made with pool_block=True.

[street]
endpoint = "GET /track"
cause = "connection_wait"
culprit = "where_is"
remedy = "connection_wait"
load = [{path = "/track", n = 36, clients = 6}]
needs = ["upstream", "urllib3"]
"""

import os
import threading

import urllib3
from fastapi import FastAPI
from stamps import now, stamp
from urllib3.connection import HTTPConnection

app = FastAPI()
waiting = threading.local()


class Timed(HTTPConnection):
    def request(self, *args, **kwargs):
        stamp(waiting.since)
        super().request(*args, **kwargs)


carrier = urllib3.connection_from_url(os.environ["STREET_UPSTREAM"], maxsize=2, block=True)
carrier.ConnectionCls = Timed


def where_is(parcel):
    waiting.since = now()
    return carrier.request("GET", f"/70?parcel={parcel}").json()  # CULPRIT


@app.get("/track")
def track():
    return where_is(7)
