"""A thread of its own for the slow upload, started and joined in the endpoint.

[street]
endpoint = "GET /upload"
cause = "blocking_io"
culprit = "send"
remedy = "blocking_io"
load = [{path = "/upload", n = 12, clients = 3}]
needs = ["upstream"]
"""

import os
import threading
import urllib.request

from fastapi import FastAPI
from stamps import now, stamp

app = FastAPI()


def send(found):
    found.append(urllib.request.urlopen(os.environ["STREET_UPSTREAM"] + "/120").read())  # CULPRIT


def uploaded():
    found = []
    thread = threading.Thread(target=send, args=(found,))
    since = now()
    thread.start()
    thread.join()
    stamp(since)
    return found


@app.get("/upload")
def upload():
    return {"n": len(uploaded())}
