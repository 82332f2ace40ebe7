"""A report is fetched whole, by one call; the other side makes it while it sends it, part by part.

[street]
endpoint = "GET /report"
cause = "await_io"
culprit = "fetch"
remedy = "await_io/large_answer"
load = [{path = "/report", n = 12, clients = 2}]
"""

import asyncio
import multiprocessing
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI
from stamps import now, stamp


async def send_parts(reader, writer):
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 80000\r\n\r\n")
            for _ in range(8):
                await asyncio.sleep(0.025)
                writer.write(b"x" * 10_000)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def serve(told):
    server = await asyncio.start_server(send_parts, "127.0.0.1", 0)
    told.put(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def other_side(told):
    asyncio.run(serve(told))


@asynccontextmanager
async def lifespan(app):
    spawned = multiprocessing.get_context("spawn")
    told = spawned.Queue()
    other = spawned.Process(target=other_side, args=(told,), daemon=True)
    other.start()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{told.get()}") as app.state.client:
        yield
    other.kill()


app = FastAPI(lifespan=lifespan)


async def fetch():
    since = now()
    answer = await app.state.client.get("/report")  # CULPRIT
    stamp(since)
    return answer.content


@app.get("/report")
async def report():
    return {"bytes": len(await fetch())}
