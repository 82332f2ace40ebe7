"""How the analysis grows with the trace: each stage at three sizes, beside what this machine can parse at all.

The spans are real: the notebook's recording, repeated, each copy with ids and times of its own. A fresh process each:
one goes from the JSON to the page, one loads the same spans from Parquet, and one for each parser reads the same file.
A parser that is not installed is said to be absent.

    python -m benchmarks.analysis_scale [--spans 50000 100000 200000] [--out PAGE.md]
"""

import argparse
import gc
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from math import log
from pathlib import Path
from typing import Any, Final

from benchmarks.analysis_speed import ROOT, peak_mb, write_trace
from benchmarks.command import machine_and_load, publish, takes_out

MILLION: Final = 1_000_000
# seconds for a million spans, and gigabytes: issue 17
GOALS: Final = {"load JSON": 8.0, "analyse": 2.0, "verdicts": 1.0, "page": 3.0, "load Parquet": 1.0}
MOST_GB: Final = 1.5
OF_REPORT: Final = ("load JSON", "analyse", "verdicts", "capacity")
MOST_CAPACITY: Final = 0.15  # of the report: issue 15
Told = dict[str, float]  # "NAME, cpu" and "NAME, wall" in seconds, "NAME, MB" the peak so far, "spans"


def timed(told: Told, name: str, call: Callable[[], Any]) -> Any:
    cpu, wall = time.process_time(), time.perf_counter()
    found = call()
    told |= {f"{name}, cpu": time.process_time() - cpu, f"{name}, wall": time.perf_counter() - wall,
             f"{name}, MB": peak_mb()}  # fmt: skip
    return found


def from_json(trace: Path, told: Told) -> None:
    """From the file to the page; writes the Parquet file last, for the next process."""
    from whywait.analysis.capacity.utilization import capacity
    from whywait.analysis.load import load_traces
    from whywait.analysis.load.files import no_collection
    from whywait.analysis.load.parquet import write_parquet
    from whywait.analysis.pipeline import analyze
    from whywait.analysis.report.html.report import page
    from whywait.analysis.report.told import Told as Report
    from whywait.analysis.verdicts.sentences import verdict

    told["start, MB"] = peak_mb()
    traces = timed(told, "load JSON", lambda: load_traces(trace))
    told["spans"] = len(traces.spans)
    analysis = timed(told, "analyse", lambda: analyze(traces))
    told["requests"] = len(analysis.requests)
    with no_collection():  # as the report does
        verdicts = timed(told, "verdicts", lambda: verdict(analysis))
        processes = timed(told, "capacity", lambda: capacity(analysis))
    drawn = timed(told, "page", lambda: page(analysis, "scale", told=Report(verdicts, processes)))
    told["page, bytes"] = len(drawn)
    timed(told, "write Parquet", lambda: write_parquet(traces.spans, trace.with_suffix(".parquet")))
    told["parquet, bytes"] = trace.with_suffix(".parquet").stat().st_size


def from_parquet(trace: Path, told: Told) -> None:
    from whywait.analysis.load import load_traces

    timed(told, "load Parquet", lambda: load_traces(trace.with_suffix(".parquet")))


def each_line(trace: Path, decode: Callable[[bytes], Any]) -> None:
    with trace.open("rb") as lines:
        for line in lines:
            decode(line)


def duckdb_reads(duckdb: Any, trace: Path) -> None:
    options = "format='newline_delimited', maximum_object_size=134217728"
    with closing(duckdb.connect()) as base:
        base.execute("SET threads=1")
        base.execute(f"CREATE TABLE lines AS SELECT * FROM read_json('{trace}', {options})")


LOADER: Final = "whywait.analysis.load.typed_otlp"
# what the same file takes when it is only parsed, each on one core where it lets itself be told
PARSERS: Final[dict[str, Callable[[Any, Path], None]]] = {
    "json": lambda json, trace: each_line(trace, json.loads),
    "orjson": lambda orjson, trace: each_line(trace, orjson.loads),
    "msgspec": lambda _, trace: each_line(trace, sys.modules[LOADER]._DECODE),
    "duckdb": duckdb_reads,
    "polars": lambda polars, trace: polars.read_ndjson(trace),
}


def parsed(name: str, trace: Path, told: Told) -> None:
    try:
        parser = importlib.import_module(name)
    except ImportError:
        return
    importlib.import_module(LOADER)  # its imports are no parsing
    gc.disable()  # as the loader does
    timed(told, name, lambda: PARSERS[name](parser, trace))


def in_process(what: str, trace: Path) -> Told:
    """Run one measurement in a fresh process."""
    told = subprocess.run(
        [sys.executable, "-m", "benchmarks.analysis_scale", "--only", what, str(trace)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": "1"}, cwd=ROOT, check=True,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    found: Told = json.loads(told.stdout)
    return found


def measured(trace: Path, *, parsers: bool) -> Told:
    told = in_process("from_json", trace) | in_process("from_parquet", trace)
    for name in PARSERS if parsers else ():
        told |= in_process(name, trace)
    return told | {"bytes": trace.stat().st_size}


def slope(sizes: list[float], seconds: list[float]) -> float:
    """Return the exponent with which the time grows from the first size to the last: 1 is linear."""
    return log(seconds[-1] / seconds[0]) / log(sizes[-1] / sizes[0])


def of_million(sizes: list[float], found: list[float]) -> float:
    """Return what a million spans take, on the line through the first and the last size: what each size takes once,
    whatever its spans, is not multiplied."""
    return found[-1] + (MILLION - sizes[-1]) * (found[-1] - found[0]) / max(sizes[-1] - sizes[0], 1)


def rows(runs: list[Told]) -> Iterator[str]:
    sizes = [run["spans"] for run in runs]
    yield f"| CPU s (wall s) | {' | '.join(f'{int(size):,} spans' for size in sizes)} | for 1 M spans, CPU s | goal | grows with spans to the power of |"
    yield f"|---|{'---|' * len(runs)}---|---|---|"
    for name, goal in [*GOALS.items(), ("capacity", None), ("write Parquet", None)]:
        cpu = [run[f"{name}, cpu"] for run in runs]
        cells = (f"{run[f'{name}, cpu']:.2f} ({run[f'{name}, wall']:.2f})" for run in runs)
        aim = f"{goal:.0f}" if goal else "-"
        yield f"| {name} | {' | '.join(cells)} | {of_million(sizes, cpu):.1f} | {aim} | {slope(sizes, cpu):.2f} |"
    for name in ("load JSON", "analyse", "verdicts", "capacity", "page"):
        peak = [run[f"{name}, MB"] - run["start, MB"] for run in runs]
        aim = f"{MOST_GB} GB" if name == "page" else "-"
        yield f"| peak after {name}, MB over start | {' | '.join(f'{one:.0f}' for one in peak)} | {of_million(sizes, peak) / 1000:.1f} GB | {aim} | {slope(sizes, peak):.2f} |"


def share_of_capacity(run: Told) -> str:
    """How much of the report's CPU time its capacity is; what-if replays only where it is asked for."""
    whole = sum(run[f"{name}, cpu"] for name in OF_REPORT)
    return (
        f"- of the largest, capacity is {run['capacity, cpu'] / whole:.0%} of the CPU time of a report in the terminal "
        f"({', '.join(OF_REPORT)}; bound {MOST_CAPACITY:.0%}); what-if replays where it is asked for, and is no part of it"
    )


def limits(run: Told) -> Iterator[str]:
    """How fast the largest file is only parsed, and how much longer loading takes."""
    load, size = run["load JSON, cpu"], run["bytes"]
    yield "| the largest file, parsed only | CPU s | MB/s | load JSON takes so many times as long |"
    yield "|---|---|---|---|"
    for name in PARSERS:
        if (cpu := run.get(f"{name}, cpu")) is None:
            yield f"| {name} | not installed | | |"
        else:
            title = "msgspec, as the loader calls it (attributes stay JSON)" if name == "msgspec" else name
            yield f"| {title} | {cpu:.2f} | {size / cpu / 1e6:.0f} | {load / cpu:.1f} |"


def page(spans: list[int]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder, "trace.jsonl")
        write_trace(trace, 1)
        with trace.open("rb") as lines:
            per_copy = sum(line.count(b'"spanId"') - line.count(b'"links"') for line in lines)
        runs = []
        for size in sorted(spans):
            write_trace(trace, max(1, round(size / per_copy)))
            runs.append(measured(trace, parsers=size == max(spans)))
    last = runs[-1]
    return "\n".join([
        "# How the analysis grows with the trace", "", " ".join((__doc__ or "").rpartition("\n\n")[0].split()), "",
        "- made by `python -m benchmarks.analysis_scale --spans " + " ".join(map(str, sorted(spans))) + "`, "
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"- the largest: {int(last['spans']):,} spans of {int(last['requests']):,} requests, {last['bytes'] / 1e6:.0f} MB "
        f"of JSON, {last['parquet, bytes'] / 1e6:.1f} MB of Parquet ({last['bytes'] / last['parquet, bytes']:.0f} times "
        f"smaller), a page of {last['page, bytes'] / 1e6:.1f} MB",
        "- one run of each; CPU seconds are of all threads of the process, what a million takes is on the line through the first and the last size",
        share_of_capacity(last), machine_and_load(), "", *rows(runs), "", *limits(last),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, nargs="+", default=[50_000, 100_000, 200_000], help="about so many")
    parser.add_argument("--only", nargs=2, metavar=("WHAT", "TRACE"), help="measure this in this process, print JSON")
    takes_out(parser)
    options = parser.parse_args()
    if options.only:
        told: Told = {}
        what, trace = options.only[0], Path(options.only[1])
        stages = {"from_json": from_json, "from_parquet": from_parquet}
        stages[what](trace, told) if what in stages else parsed(what, trace, told)
        print(json.dumps(told))
        return
    publish(page(options.spans), options.out)


if __name__ == "__main__":
    main()
