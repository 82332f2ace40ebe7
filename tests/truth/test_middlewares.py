"""Middlewares make tasks of their own within one request: what the endpoint does is told of it all the same."""

from pathlib import Path

import pytest

from testbed.service import get, traced_service
from whywait import analysis
from whywait.analysis.causes import Cause

APP = """
import time, uuid
from fastapi import FastAPI

app = FastAPI()

def shown(count):
    found = ""
    for _ in range(count):
        found += str(uuid.uuid4())[:1]
    return found[-9:]

@app.get("/nap")
async def nap():
    time.sleep(0.02)

@app.get("/shown")
async def show():
    return shown(12_000)

for _ in range({layers}):
    @app.middleware("http")
    async def layer(request, call_next):
        return await call_next(request)
"""


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_what_blocks_in_the_first_step_of_a_middlewares_task_is_the_requests_own(
    layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "layered.py").write_text(APP.replace("{layers}", str(layers)))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}")
    with traced_service(tmp_path / "traces", app="layered:app") as url:
        for _ in range(8):
            for path in ("nap", "shown"):
                get(f"{url}/{path}")
    found = analysis.analyze(analysis.load_traces(tmp_path / "traces").spans)
    reasons = {one.judgement.endpoint: one.judgement.reasons for one in analysis.verdict(found)}
    nap, shown = reasons["GET /nap"][0], reasons["GET /shown"][0]
    assert (nap.cause, nap.culprit) == (Cause.BLOCKING_IO, "nap")
    assert nap.mean_ns / 1e6 == pytest.approx(20, abs=1)
    assert (shown.cause, shown.culprit) == (Cause.COMPUTE, "shown")
