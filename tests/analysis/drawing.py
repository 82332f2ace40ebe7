"""Timelines as drawings: the picture of a test is its input.

    server GET        |---------------|
    task   root       |---------------|           cpu=4
    wait   w    root    |--------|                type=await waker=job
    job    job  root    |--------|
    run    run  job       |------|                cpu=6

A line is kind, name, owner (for a task or job: who spawned it; for wait, run, phase, block: the
activity; for a plain span: its parent), the bar, and facts. One column is one unit; a bar covers
[first |, last |). `trace=b` puts a span, with all that name it, into another trace.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from whywait.analysis.load.otlp import frame_of
from whywait.tracer import schema

UNIT_NS = 1_000_000
BEGIN_NS = 1_700_000_000_000_000_000
SIGNALS = ["loop", "thread_cpu", "run_queue", "executor"]
ACTIVITIES = ("task", "job")


def drawn(picture: str, more: Mapping[str, Mapping[str, Any]] | None = None, *, unit_ns: int = UNIT_NS) -> pd.DataFrame:
    """Return the spans of a drawing; `more` adds attributes by span name."""
    lines = [line for line in picture.splitlines() if "|" in line]
    origin = min(line.index("|") for line in lines)
    spans = [_parsed(line, origin) for line in lines]
    at = {span["name"]: span for span in spans}
    for number, span in enumerate(spans, start=1):
        span["id"] = f"{number:016x}"
        span["trace"] = span["facts"].get("trace", "a")
    rows = [_row(span, at, dict((more or {}).get(span["name"], {})), unit_ns) for span in spans]
    return frame_of(rows)


def trace_id(letter: str) -> str:
    return f"{ord(letter):032x}"


def _parsed(line: str, origin: int) -> dict[str, Any]:
    first, last = line.index("|"), line.rindex("|")
    head, facts = line[:first].split(), line[last + 1 :].split()
    owner = head[2] if len(head) > 2 else ""
    return {
        "kind": head[0], "name": head[1], "owner": owner, "start": first - origin, "end": last - origin,
        "facts": dict(fact.split("=", 1) for fact in facts),
    }  # fmt: skip


def _row(span: dict[str, Any], at: dict[str, dict[str, Any]], extra: dict[str, Any], unit_ns: int) -> tuple[Any, ...]:
    kind, facts, owner = span["kind"], span["facts"], at.get(span["owner"])
    attributes: dict[str, Any] = {}
    ours = kind in ("task", "job", "run", "wait", "block", "phase")
    if ours:
        attributes[schema.KIND] = kind
    if kind in ACTIVITIES:
        attributes[schema.ACTIVITY] = span["id"]
        if owner is not None and owner["kind"] != "server":
            attributes[schema.SPAWNED_BY] = owner["id"]
            if owner["trace"] != span["trace"]:
                attributes[schema.SPAWNED_BY_TRACE] = trace_id(owner["trace"])
        if kind == "task" and (owner is None or owner["kind"] == "server"):
            attributes |= {schema.ROOT: True, schema.CONTRACT: 1, schema.SIGNALS: SIGNALS}
    elif ours and owner is not None:
        attributes[schema.ACTIVITY] = owner["id"]
    if kind == "wait":
        attributes[schema.WAIT] = facts.get("type", "await")
    if "waker" in facts:
        waker = at.get(facts["waker"])
        attributes[schema.WAKER_KIND] = "activity" if waker is not None else facts["waker"]
        if waker is not None:
            attributes[schema.WAKER_SPAN_ID] = waker["id"]
            if waker["trace"] != span["trace"]:
                attributes[schema.WAKER_TRACE_ID] = trace_id(waker["trace"])
    for fact, key in (("cpu", schema.CPU_NS), ("rq", schema.RUN_QUEUE_NS)):
        if fact in facts:
            attributes[key] = round(float(facts[fact]) * unit_ns)
    for fact, key in (("for", schema.FOR), ("from", schema.INGRESS_FROM)):
        if fact in facts:
            attributes[key] = facts[fact]
    span_kind = kind if kind in ("server", "client") else "internal"
    parent = owner
    if parent is None and ours:
        parent = next((s for s in at.values() if s["kind"] == "server" and s["trace"] == span["trace"]), None)
    return (
        trace_id(span["trace"]), span["id"], parent["id"] if parent is not None else "",
        span["name"], facts.get("service", "shop"), "whywait" if ours else "test", span_kind,
        BEGIN_NS + span["start"] * unit_ns, BEGIN_NS + span["end"] * unit_ns, False,
        attributes | extra, [],
    )  # fmt: skip


def shown(causes: pd.DataFrame, *, unit_ns: int = UNIT_NS) -> list[tuple[Any, ...]]:
    """Return the rows as (start, end, cause, span name) in units, to compare with a drawing."""
    return [
        ((row.start_ns - BEGIN_NS) / unit_ns, (row.end_ns - BEGIN_NS) / unit_ns, row.cause, row.span_name)
        for row in causes.itertuples()
    ]
