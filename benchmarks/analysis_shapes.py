"""What traces of uncommon shapes cost: CPU seconds from the loaded spans to the verdicts.

python -m benchmarks.analysis_shapes [SHAPE ...] [--out PAGE.md]
"""

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

from benchmarks.command import machine_and_load, publish, takes_out
from whywait import analysis
from whywait.analysis.load.otlp import frame_of
from whywait.tracer import schema

MS: Final = 10**6
BEGIN_NS: Final = 1_700_000_000 * 10**9
Row = tuple[Any, ...]
ROOT: Final = {schema.KIND: schema.KIND_TASK, schema.ROOT: True, schema.CONTRACT: schema.CONTRACT_VERSION,
               schema.SIGNALS: ["loop", "thread_cpu", "run_queue", "executor"]}  # fmt: skip


def span(
    trace: int, number: int, parent: int | None, name: str, kind: str, start: int, end: int, own: Any = None
) -> Row:
    above = "" if parent is None else f"{parent + 1:016x}"
    ids = f"{trace + 1:032x}", f"{number + 1:016x}", above
    times = BEGIN_NS + start, BEGIN_NS + end
    return (*ids, name, "shop", "whywait" if own else "", kind, *times, False, own or {}, [])


def siblings(count: int) -> Iterator[Row]:
    """Calls one after another below one request, in spans of others."""
    yield span(0, 0, None, "GET /", "server", 0, (count + 2) * 1000)
    for one in range(count):
        yield span(0, one + 1, 0, "call", "client", one * 1000 + 1, one * 1000 + 900)


def deep(count: int) -> Iterator[Row]:
    """Spans of others, each inside the one before."""
    yield span(0, 0, None, "GET /", "server", 0, 4 * count * 1000)
    for one in range(1, count):
        yield span(0, one, one - 1, "inner", "internal", one * 1000, (4 * count - one) * 1000)


def _task(number: int, parent: int, start: int, end: int, trace: int = 0) -> Row:
    own = {schema.KIND: schema.KIND_TASK, schema.SPAWNED_BY: f"{parent + 1:016x}"}
    return span(trace, number, parent, "task", "internal", start, end, own)


def _await(number: int, activity: int, waker: int, start: int, end: int, trace: int = 0) -> Row:
    own = {
        schema.KIND: schema.KIND_WAIT, schema.ACTIVITY: f"{activity + 1:016x}", schema.WAIT: schema.WAIT_AWAIT,
        schema.WAKER_KIND: schema.WAKER_ACTIVITY, schema.WAKER_SPAN_ID: f"{waker + 1:016x}",
    }  # fmt: skip
    return span(trace, number, activity, "await", "internal", start, end, own)


def awaited(count: int) -> Iterator[Row]:
    """Tasks that one request made and awaited one after another."""
    yield span(0, 0, None, "GET /", "server", 0, (count + 2) * 1000)
    yield span(0, 1, 0, "root", "internal", 0, (count + 2) * 1000, ROOT)
    for one in range(count):
        yield _task(2 + 2 * one, 1, one * 1000, one * 1000 + 900)
        yield _await(3 + 2 * one, 1, 2 + 2 * one, one * 1000 + 1, one * 1000 + 900)


def awaiting(count: int) -> Iterator[Row]:
    """Tasks that each await the one that they made."""
    yield span(0, 0, None, "GET /", "server", 0, 4 * count * 1000)
    yield span(0, 1, 0, "root", "internal", 0, 4 * count * 1000, ROOT)
    for one in range(1, count):
        above, times = 2 * one - 1, (one * 1000, (4 * count - one) * 1000)
        yield _task(2 * one + 1, above, *times)
        yield _await(2 * one, above, 2 * one + 1, *times)


def requests(count: int, endpoints: int) -> Iterator[Row]:
    """Traces of two spans; many endpoints have ids in their names."""
    for one in range(count):
        name = "GET /" if endpoints == 1 else f"GET /users/{one % endpoints}/orders"
        yield span(one, 2 * one, None, name, "server", one * MS, one * MS + MS // 2)
        yield span(one, 2 * one + 1, 2 * one, "root", "internal", one * MS, one * MS + MS // 2, ROOT)


def endpoints(count: int, each: int) -> Iterator[Row]:
    """Endpoints with reasons: their requests compute, and await tasks that wait."""
    said = {**ROOT, schema.CPU_NS: 20 * MS, schema.RAN_NAMES: ["rank"], schema.RAN_FILES: ["/srv/app.py"],
            schema.RAN_LINES: [7], schema.RAN_NS: [20 * MS]}  # fmt: skip
    for one in range(count * each):
        first, begun = 10 * one, one * 100 * MS
        name = f"GET /{chr(97 + one % count // 26)}{chr(97 + one % count % 26)}"
        yield span(one, first, None, name, "server", begun, begun + 60 * MS)
        yield span(one, first + 1, first, "root", "internal", begun, begun + 60 * MS, said)
        for item in range(3):
            start = begun + 20 * MS + item * 10 * MS
            yield _task(first + 2 + item, first + 1, start, start + 9 * MS, one)
            yield _await(first + 5 + item, first + 1, first + 2 + item, start, start + 9 * MS, one)


SHAPES: Final[dict[str, Callable[[], Iterator[Row]]]] = {
    "50,000 siblings of others' spans": lambda: siblings(50_000),
    "50,000 spans of others, each inside another": lambda: deep(50_000),
    "50,000 tasks awaited one after another": lambda: awaited(50_000),
    "50,000 tasks, each awaiting the next": lambda: awaiting(50_000),
    "one trace of 200,000 spans": lambda: awaited(100_000),
    "100,000 traces of two spans": lambda: requests(100_000, 1),
    "10,000 endpoints, named by ids": lambda: requests(20_000, 10_000),
    "200 endpoints that compute and await": lambda: endpoints(200, 5),
}


def measured(shape: str) -> str:
    """Return the shape's row of the table."""
    spans = frame_of(list(SHAPES[shape]()))
    start = time.process_time()
    found = analysis.analyze(spans)
    analysed = time.process_time()
    analysis.verdict(found)
    times = f"{analysed - start:.2f} | {time.process_time() - analysed:.2f}"
    said = ", ".join(one.code for one in found.findings) or "none"
    return f"| {shape} | {len(spans):,} | {len(found.causes):,} | {times} | {said} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", help="the beginning of a shape's name")
    takes_out(parser)
    options = parser.parse_args()
    chosen = [one for one in SHAPES if not options.shapes or one.startswith(tuple(options.shapes))]
    text = "\n".join([
        "# Traces of uncommon shapes", "", (__doc__ or "").split("\n\n")[0], "",
        "CPU seconds of one core, once each, in one process; `python -m benchmarks.analysis_shapes`.", machine_and_load(), "",
        "| shape | spans | segments found | analysis, s | verdicts, s | findings |", "|---|---|---|---|---|---|",
        *map(measured, chosen),
    ])  # fmt: skip
    publish(text, options.out)


if __name__ == "__main__":
    main()
