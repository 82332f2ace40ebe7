"""Many small traces out of a few drawings, as the lines that a service would write."""

from dataclasses import dataclass, field

import pandas as pd

from tests.analysis.drawing import drawn
from tests.analysis.otlp_writer import otlp_lines
from whywait.analysis.live.counting import Counted
from whywait.analysis.live.labels import Labels
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


@dataclass
class Total:
    """The sums of one endpoint: amounts in ns, times the weight of each trace."""

    requests: float = 0.0
    traced: int = 0
    by_cause: dict[str, float] = field(default_factory=dict)


def totals_of(requests: list[Counted], most: int = 100) -> dict[str, Total]:
    """Return the sums of these requests by the label of their endpoint."""
    labels = Labels(most)
    totals: dict[str, Total] = {}
    for request in requests:
        total = totals.setdefault(labels.label(request.endpoint), Total())
        if request.by_cause:  # recorded whole
            total.requests += request.weight
            total.traced += 1
            for cause, ns in request.by_cause.items():
                total.by_cause[cause] = total.by_cause.get(cause, 0.0) + ns * request.weight
    return totals
