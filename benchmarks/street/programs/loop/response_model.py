"""The response of one endpoint is validated and serialized on the event loop: no function of the service's own runs then.

[street]
endpoint = "GET /health"
cause = "loop_busy"
culprit = "export"
remedy = "loop_busy"
amount = "overlap"
load = [{path = "/health", n = 40, pause = 0.005}, {path = "/export", n = 10}]
"""

from fastapi import FastAPI
from pydantic import BaseModel
from stamps import now, stamp

app = FastAPI()
ROWS = [{"number": number, "title": f"row {number}"} for number in range(40_000)]


class Line(BaseModel):
    number: int
    title: str


@app.middleware("http")
async def stamped(request, call_next):
    since = now()
    response = await call_next(request)
    if request.url.path == "/export":
        stamp(since)
    return response


@app.get("/health")
async def health():
    return {"ok": True}


@app.get("/export")
async def export() -> list[Line]:
    return ROWS  # CULPRIT
