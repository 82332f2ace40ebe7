"""`async def` endpoints log through a handler of the service's own that posts each record: on the event loop.

[street]
endpoint = "GET /login"
cause = "logging_wait"
culprit = "Slack.emit"
remedy = "logging_wait"
load = [{path = "/login", n = 12}]
needs = ["upstream"]
"""

import http.client
import logging
import os

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()
log = logging.getLogger("security")


class Slack(logging.Handler):
    def emit(self, record):
        connection = http.client.HTTPConnection(os.environ["STREET_UPSTREAM"].removeprefix("http://"))
        connection.request("GET", "/70")
        connection.getresponse().read()  # CULPRIT
        connection.close()


log.addHandler(Slack())


@app.get("/login")
async def login():
    since = now()
    log.warning("login of %s", "anna")
    stamp(since)
    return {"ok": True}
