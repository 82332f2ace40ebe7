"""'FastAPI is slow with large responses': 15,000 rows go through the response model, on the event loop.

[street]
endpoint = "GET /rows"
cause = "compute"
culprit = "rows"
remedy = "compute/computes_on_loop"
load = [{path = "/rows", n = 6}]
"""

import gc
from datetime import UTC, datetime

from fastapi import Depends, FastAPI
from pydantic import BaseModel
from stamps import now, stamp

app = FastAPI()
returned = []


async def until_sent():
    yield
    stamp(returned.pop())


class Row(BaseModel):
    number: int
    name: str
    seen: datetime
    tags: list[str]


DATA = [{"number": n, "name": f"row {n}", "seen": datetime.now(UTC), "tags": ["a", "b"]} for n in range(15_000)]
gc.freeze()
gc.set_threshold(500_000)  # else a third of it is the garbage collector's


@app.get("/rows", response_model=list[Row], dependencies=[Depends(until_sent)])
async def rows():
    returned.append(now())
    return DATA
