"""'We moved the re-indexing to a thread': a search that asks a quick cache twenty times is slow meanwhile.

[street]
endpoint = "GET /search"
cause = "gil_wait"
culprit = "rebuild"
remedy = "gil_wait/gil_held"
load = [{path = "/search", n = 20, after = 0.5}, {path = "/reindex", n = 1}]
"""

import asyncio
import sys
import time
from contextlib import asynccontextmanager

from fastapi import FastAPI
from stamps import stamp

# answers after a millisecond, and says when
CACHE = """
import sys, time
for _ in iter(sys.stdin.readline, ""):
    time.sleep(0.001)
    print(time.monotonic_ns(), flush=True)
"""
TEXTS = [f"text {number} of all texts, {number * 31}" for number in range(300)]


class Cache:
    async def start(self):
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", CACHE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )

    async def get(self, key):
        self.process.stdin.write(key + b"\n")
        answer = await self.process.stdout.readline()
        stamp(int(answer))
        return answer


cache = Cache()


@asynccontextmanager
async def lifespan(app):
    await cache.start()
    yield
    cache.process.kill()


app = FastAPI(lifespan=lifespan)


def rebuild(until):
    index = {}
    while time.monotonic() < until:
        for number, text in enumerate(TEXTS):
            for word in text.split():
                index.setdefault(word, set()).add(number)  # CULPRIT
    return len(index)


@app.get("/search")
async def search():
    found = [await cache.get(b"shard") for _ in range(20)]
    return {"found": len(found)}


@app.get("/reindex")
async def reindex():
    return {"words": await asyncio.to_thread(rebuild, time.monotonic() + 6)}
