"""An endless answer ends since its client goes: until then the request waited for what the stream waited for."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

import whywait
from testbed.service import free_port
from whywait import analysis
from whywait.tracer.config import Config

PAUSE_S, STAYS_S = 0.06, 0.5
app = FastAPI()
paused_s: list[float] = []  # the stream's own clock, its last pause included


async def numbers() -> AsyncIterator[str]:
    for number in range(1000):
        yield f"data: {number}\n\n"
        began = time.perf_counter()
        try:
            await asyncio.sleep(PAUSE_S)
        finally:
            paused_s.append(time.perf_counter() - began)


@app.get("/events")
async def events() -> StreamingResponse:
    return StreamingResponse(numbers(), media_type="text/event-stream")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_until_the_client_goes_it_is_the_streams_wait(loop: str, tmp_path: Path) -> None:
    paused_s.clear()
    whywait.start(config=Config(output=tmp_path, keep="all"))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", loop=loop))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /events HTTP/1.1\r\nHost: here\r\n\r\n")
            time.sleep(STAYS_S)
        time.sleep(0.2)
    finally:
        server.should_exit = True
        thread.join(20)
        whywait.stop()
    told = analysis.analyze(tmp_path)
    assert told.requests["endpoint"].tolist() == ["GET /events"]
    causes = told.causes.assign(ms=told.causes["amount_ns"] / 1e6)
    in_stream = causes[causes["detail"].str.contains("numbers")]["ms"].sum()
    assert in_stream == pytest.approx(sum(paused_s) * 1e3, rel=0.05)
    assert causes[causes["cause"] == "request_io"]["ms"].sum() < 5
