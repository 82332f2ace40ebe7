"""What it takes to encode a span for a trace file: by the tracer, and by OpenTelemetry's own encoder.

`python -m benchmarks.span_lines [--out PAGE]`: the spans of the notebooks' recording, some at a time as the tracer's
exporter does it, in turns; CPU time of the thread. A test holds that both say the same.
"""

import argparse
import gzip
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from opentelemetry.exporter.otlp.json.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, TraceFlags

from benchmarks.command import machine_and_load, publish, takes_out
from whywait.analysis.load.otlp import decode_attributes
from whywait.tracer.export.span_lines import line_of

ROOT: Final = Path(__file__).resolve().parents[1]
RECORDING: Final = ROOT / "notebooks/recording/threaded.jsonl.gz"
_TURNS: Final = 7
_AT_ONCE: Final = 16


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    takes_out(parser)
    spans = recorded()
    ways: dict[str, Callable[[Sequence[ReadableSpan]], str]] = {"whywait": line_of, "OpenTelemetry": _theirs}
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(_TURNS):
        for name, encode in ways.items():
            taken[name].append(_us_a_span(encode, spans))
    told = ((name, statistics.median(each), min(each), max(each)) for name, each in taken.items())
    ratio = statistics.median(ours / theirs for ours, theirs in zip(*taken.values(), strict=True))
    lines = [
        "# Encoding a span for a trace file", "",
        f"`python -m benchmarks.span_lines`: {len(spans)} spans of the notebooks' recording, {_AT_ONCE} at a time, {_TURNS} turns; "
        "CPU time of the thread.", "", machine_and_load(), "",
        "| encoder | µs a span, median | from, to |", "|---|---:|---:|",
        *(f"| {name} | {median:.1f} | {least:.1f} to {most:.1f} |" for name, median, least, most in told), "",
        f"Ratio in the same turn, median: {ratio:.2f}.",
    ]  # fmt: skip
    publish("\n".join(lines), parser.parse_args().out)


def recorded() -> list[ReadableSpan]:
    """The recording's spans, as the SDK has them."""
    resource, scope = Resource({"service.name": "predictor"}), InstrumentationScope("whywait")
    with gzip.open(RECORDING, "rt") as lines:
        documents = [json.loads(line) for line in lines]
    return [
        ReadableSpan(
            name=one["name"], context=_context(one, "spanId"),
            parent=_context(one, "parentSpanId") if one.get("parentSpanId") else None, resource=resource,
            attributes=decode_attributes(one.get("attributes", [])), instrumentation_scope=scope,
            start_time=int(one["startTimeUnixNano"]), end_time=int(one["endTimeUnixNano"]),
        )
        for document in documents
        for resources in document["resourceSpans"]
        for scopes in resources["scopeSpans"]
        for one in scopes["spans"]
    ]  # fmt: skip


def _context(one: dict[str, Any], key: str) -> SpanContext:
    return SpanContext(int(one["traceId"], 16), int(one[key], 16), is_remote=False, trace_flags=TraceFlags(1))


def _theirs(spans: Sequence[ReadableSpan]) -> str:
    return json.dumps(encode_spans(spans).to_dict(), separators=(",", ":"))


def _us_a_span(encode: Callable[[Sequence[ReadableSpan]], str], spans: Sequence[ReadableSpan]) -> float:
    began_ns = time.thread_time_ns()
    for at in range(0, len(spans), _AT_ONCE):
        encode(spans[at : at + _AT_ONCE])
    return (time.thread_time_ns() - began_ns) / len(spans) / 1e3


if __name__ == "__main__":
    main()
