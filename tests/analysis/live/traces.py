"""Many small traces out of a few drawings, as the lines that a service would write."""

import pandas as pd

from tests.analysis.drawing import drawn
from tests.analysis.otlp_writer import otlp_lines
from whywait.analysis.live.counting import Counted
from whywait.analysis.live.labels import Labels
from whywait.analysis.live.totals import Totals
from whywait.tracer import schema

QUEUED = """
    server GET            |---------------|
    task   root   GET     |---------------|
    wait   w      root      |----------|           type=await waker=job
    job    job    root      |----------|
    wait   q      job       |----|                 type=pool_queue
    run    predict job           |-----|           cpu=4
"""
BUSY = """
    server GET            |-----------|
    task   root   GET     |-----------|            cpu=2
    wait   w      root    |-----|                  type=loop_busy
"""
# it waits for what another request does: without that one's trace its time is unexplained
TURN = """
    server GET            |---------------|
    task   root   GET     |---------------|        cpu=1
    wait   w      root      |----------|           type=await waker=batch
    server other         |--------------|          trace=b
    task   batch  other  |--------------|          cpu=9 trace=b
"""


def one(picture: str, endpoint: str, number: int, weight: float = 1.0) -> pd.DataFrame:
    """Return the spans of one drawing as its `number`th copy."""
    spans = drawn(picture, {"root": {schema.WEIGHT: weight}} if weight != 1.0 else None)
    spans = spans.assign(
        trace_id=[_copied(trace_id, number) for trace_id in spans["trace_id"]],
        name=[endpoint if name == "GET" else name for name in spans["name"]],
        start_ns=spans["start_ns"] + number * 1_000_000,
        end_ns=spans["end_ns"] + number * 1_000_000,
    )
    spans["attributes"] = [
        {key: _copied(value, number) if key == schema.WAKER_TRACE_ID else value for key, value in own.items()}
        for own in spans["attributes"]
    ]
    return spans


def _copied(trace_id: str, number: int) -> str:
    return f"{number:024x}{trace_id[-8:]}"


def lines_of(spans: pd.DataFrame) -> list[bytes]:
    """Return one line for each span."""
    return otlp_lines(spans).encode().splitlines(keepends=True)


def totals_of(requests: list[Counted], most: int = 100) -> Totals:
    """Return the totals of these requests."""
    totals = Totals(Labels(most))
    for request in requests:
        totals.add(request)
    return totals
