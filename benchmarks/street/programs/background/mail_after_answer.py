"""A background task sends a mail synchronously: the next request of the client waits for it.

[street]
endpoint = "GET /signup"
cause = "loop_busy"
culprit = "send_mail"
remedy = "loop_busy"
amount = "overlap"
load = [{path = "/signup", n = 10}]
"""

import time

from fastapi import BackgroundTasks, FastAPI
from stamps import now, stamp

app = FastAPI()


async def send_mail(to):
    since = now()
    time.sleep(0.15)  # CULPRIT
    stamp(since)


@app.get("/signup")
async def signup(tasks: BackgroundTasks):
    tasks.add_task(send_mail, "someone@example.org")
    return {"ok": True}
