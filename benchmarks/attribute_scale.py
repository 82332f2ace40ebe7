"""How long the analysis takes for a million spans: `python benchmarks/attribute_scale.py [requests]`.

Makes requests of ten jobs in a pool (54 spans each), writes them as OTLP JSON Lines, then loads and
analyses that file. Prints the conditions with the figures.
"""

import json
import os
import platform
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from whywait import analysis

MS = 1_000_000
JOBS = 10
BEGIN_NS = 1_700_000_000_000_000_000


def attribute_of(key: str, value: Any) -> dict[str, Any]:
    """Return one OTLP KeyValue."""
    if isinstance(value, bool):
        return {"key": key, "value": {"boolValue": value}}
    if isinstance(value, int):
        return {"key": key, "value": {"intValue": str(value)}}
    if isinstance(value, list):
        return {"key": key, "value": {"arrayValue": {"values": [attribute_of("", one)["value"] for one in value]}}}
    return {"key": key, "value": {"stringValue": value}}


def request(number: int, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Yield the spans of one request: ten jobs, each queued, run, and collected after a busy loop."""
    trace = f"{number + 1:032x}"
    ids = iter(range(number * 1000 + 1, number * 1000 + 1000))
    begin = BEGIN_NS + number * 3 * MS

    def span(name: str, parent: str, start: int, end: int, ours: dict[str, Any]) -> dict[str, Any]:
        return {
            "traceId": trace, "spanId": f"{next(ids):016x}", "parentSpanId": parent, "name": name,
            "kind": 1 if ours else 2, "startTimeUnixNano": str(begin + start), "endTimeUnixNano": str(begin + end),
            "status": {}, "attributes": [attribute_of(f"whywait.{key}", value) for key, value in ours.items()],
        }  # fmt: skip

    ends = [dice.randrange(30 * MS, 120 * MS) for _ in range(JOBS)]
    last = max(ends) + 6 * MS
    server = span("GET /rank", "", 0, last, {})
    root = span("handle", server["spanId"], 1000, last, {
        "kind": "task", "root": True, "contract": 1, "cpu_ns": 4 * MS, "resolution_ns": MS,
        "signals": ["loop", "thread_cpu", "run_queue", "executor"],
    })  # fmt: skip
    owner = root["spanId"]
    yield from (server, root)
    waker = ""
    for end in ends:
        job = span("job", owner, MS, end + 2 * MS, {"kind": "job", "spawned_by": owner})
        mine = job["spanId"]
        queue = span("pool queue", mine, MS, end - 20 * MS, {
            "kind": "wait", "activity": mine, "wait": "pool_queue", "pool.name": "predict", "pool.size": 4,
            "occupant.names": ["a", "b"], "occupant.trace_ids": ["", ""], "occupant.span_ids": ["", ""],
            "occupant.ns": [(end - 21 * MS) // 2, (end - 21 * MS) // 4],
        })  # fmt: skip
        run = span("predict", mine, end - 20 * MS, end, {
            "kind": "run", "activity": mine, "cpu_ns": 9 * MS, "run_queue_ns": 3 * MS,
        })  # fmt: skip
        phase = span("frame", mine, end - 19 * MS, end - 9 * MS, {
            "kind": "phase", "activity": mine, "cpu_ns": 5 * MS, "run_queue_ns": MS,
        })  # fmt: skip
        inner = span("convert", mine, end - 15 * MS, end - 11 * MS, {
            "kind": "phase", "activity": mine, "cpu_ns": 2 * MS, "run_queue_ns": 0,
        })  # fmt: skip
        waker = mine if end == max(ends) else waker
        yield from (job, queue, run, phase, inner)
    yield span("await gather", owner, 2 * MS, max(ends), {
        "kind": "wait", "activity": owner, "wait": "await", "waker": "activity", "waker.span_id": waker,
        "for": "asyncio.gather",
    })  # fmt: skip
    yield span("loop busy", owner, max(ends), max(ends) + 2 * MS, {
        "kind": "wait", "activity": owner, "wait": "loop_busy", "blocker.function": "dump", "blocker.ns": 2 * MS,
        "blocker.file": "app.py", "blocker.line": 12,
    })  # fmt: skip


def write(path: Path, requests: int) -> int:
    """Write the requests, one line each; return the number of spans."""
    dice, count = random.Random(7), 0
    service = {"attributes": [attribute_of("service.name", "bench")]}
    with path.open("w") as lines:
        for number in range(requests):
            spans = list(request(number, dice))
            count += len(spans)
            scope = [{"scope": {"name": "whywait"}, "spans": spans}]
            lines.write(json.dumps({"resourceSpans": [{"resource": service, "scopeSpans": scope}]}) + "\n")
    return count


def main() -> None:
    """Time load and analysis, apart."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "traces.jsonl"
        count = write(path, requests)
        size = path.stat().st_size
        began = time.perf_counter()
        traces = analysis.load_traces(path)
        loaded = time.perf_counter()
        result = analysis.analyze(traces)
        done = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{count:,} spans of {requests:,} requests, {size / 2**20:,.0f} MiB of OTLP JSON Lines")
    print(f"load     {loaded - began:6.1f} s  {count / (loaded - began):10,.0f} spans/s")
    print(f"analyze  {done - loaded:6.1f} s  {count / (done - loaded):10,.0f} spans/s")
    print(f"{len(result.causes):,} rows of causes, {len(result.culprits):,} of culprits, peak {memory:.1f} GiB")
    print(
        f"Python {platform.python_version()}, pandas {pd.__version__}, numpy {np.__version__}, "
        f"{os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} when done"
    )


if __name__ == "__main__":
    main()
