"""A large body: pydantic validates thousands of rows on the event loop, in Python validators.

[street]
endpoint = "GET /import"
cause = "compute"
culprit = "Row.digits"
remedy = "compute/computes_on_loop"
load = [{path = "/import", n = 12}]
"""

import time

from fastapi import FastAPI
from pydantic import BaseModel, field_validator
from stamps import now, stamp

app = FastAPI()
ROWS = [{"iban": f"DE{number:020d}"} for number in range(12_000)]


class Row(BaseModel):
    iban: str

    @field_validator("iban")
    @classmethod
    def digits(cls, value):
        assert sum(int(one) for one in value[2:]) >= 0  # CULPRIT
        return value


class Rows(BaseModel):
    rows: list[Row]


def checked():
    before = time.thread_time_ns()
    rows = Rows.model_validate({"rows": ROWS})
    stamp(now() - (time.thread_time_ns() - before))  # as long as it was on a CPU
    return rows


@app.get("/import")
async def imported():
    return {"rows": len(checked().rows)}
