"""A service that is installed, as in an image: its functions are the user's, and its middleware is not what works."""

from pathlib import Path

import pytest

from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.causes import Cause

MAIN = """
import asyncio, time
from fastapi import FastAPI
from shop.score import digest, nap

class Timing:
    def __init__(self, app):
        self.app = app
    async def __call__(self, scope, receive, send):
        started = time.perf_counter()
        await self.app(scope, receive, send)
        self.took = time.perf_counter() - started

app = FastAPI()
app.add_middleware(Timing)

@app.get("/score")
async def score():
    return digest(80_000)

@app.get("/pause")
async def pause():
    nap()

@app.get("/rows")
async def rows():
    return [{"row": row, "part": row / 7, "name": f"{row}"} for row in range(4_000)]

@app.get("/settle")
async def settle():
    await asyncio.sleep(0.03)
"""
SCORE = """
import hashlib, time

def digest(rounds):
    found = b""
    for _ in range(rounds):
        found = hashlib.sha256(found).digest()
    return found.hex()

def nap():
    time.sleep(0.02)
"""
TOLD = {
    "GET /score": (Cause.COMPUTE, "digest", "shop/score.py"),
    "GET /pause": (Cause.BLOCKING_IO, "nap", "shop/score.py"),
    "GET /rows": (Cause.COMPUTE, "rows", "shop/main.py"),  # FastAPI encodes, for it
}


def test_its_functions_are_named_and_its_middleware_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packages = tmp_path / "site-packages"
    (packages / "shop").mkdir(parents=True)
    (packages / "shop" / "main.py").write_text(MAIN)
    (packages / "shop" / "score.py").write_text(SCORE)
    monkeypatch.setenv("PYTHONPATH", f"{packages}")
    with traced_service(tmp_path / "traces", app="shop.main:app") as url:
        for _ in range(8):
            for path in ("score", "pause", "rows", "settle"):
                get(f"{url}/{path}")
    found = analysis.analyze(analysis.load_traces(tmp_path / "traces").spans)
    by_endpoint = {one.judgement.endpoint: one.judgement.reasons for one in analysis.verdict(found)}
    for endpoint, (cause, function, file) in TOLD.items():
        (first,) = (one for one in by_endpoint[endpoint] if one.cause == cause)
        assert (first.culprit, first.culprit_file) == (function, f"{packages}/./{file}"), endpoint
    (waits,) = (one for one in by_endpoint["GET /settle"] if one.cause == Cause.AWAIT_IO)
    assert "in settle (shop/main.py:" in waits.detail
