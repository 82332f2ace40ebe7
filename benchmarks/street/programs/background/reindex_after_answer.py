"""Quart's `add_background_task` for each of twelve documents: all of them compute before anything else has its turn.

[street]
endpoint = "GET /search"
cause = "loop_busy"
culprit = "index"
remedy = "loop_busy"
amount = "overlap"
load = [
    {path = "/search", n = 60, pause = 0.02},
    {path = "/import", n = 16, pause = 0.05, after = 0.2},
]
server = "hypercorn"
"""

from quart import Quart
from stamps import now, stamp

app = Quart(__name__)
TEXT = " ".join(f"word{number}" for number in range(16_000))
words = {}


async def index(number):  # CULPRIT
    since = now()
    for word in TEXT.split():
        words.setdefault(word, set()).add(number)
        hash(word * 30)
    stamp(since)


@app.get("/import")
async def imported():
    for number in range(12):
        app.add_background_task(index, number)
    return {"accepted": 12}


@app.get("/search")
async def search():
    return {"hits": len(words.get("word7", ()))}
