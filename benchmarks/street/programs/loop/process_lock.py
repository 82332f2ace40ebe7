"""A multiprocessing.Lock guards a file that a child process rewrites; the service acquires it on the event loop.

[street]
endpoint = "GET /config"
cause = "lock_wait"
culprit = ""
remedy = "lock_wait/blocks_loop"
load = [{path = "/config", n = 12}]
server = "own"
"""

import multiprocessing
import os
import time

from stamps import now, stamp
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


def rewrite(lock, parent):
    while os.getppid() == parent:
        with lock:
            time.sleep(0.08)
        time.sleep(0.005)


def read_config(lock):
    since = now()
    with lock:  # CULPRIT
        stamp(since)
        return {"version": 3}


async def config(request):
    return JSONResponse(read_config(request.app.state.lock))


app = Starlette(routes=[Route("/config", config)])
if __name__ == "__main__":
    import uvicorn

    app.state.lock = multiprocessing.Lock()
    child = multiprocessing.Process(target=rewrite, args=(app.state.lock, os.getpid()), daemon=True)
    child.start()
    uvicorn.run(app, port=int(os.environ["STREET_PORT"]), loop=os.environ["STREET_LOOP"], log_level="warning")
