"""Runs a unit and joins what its service noted with what the traces say: one record per request."""

import json
import tempfile
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import pandas as pd

from benchmarks.truth import load, plan
from benchmarks.truth.baselines import FRAMEWORK, Span, blamed
from benchmarks.truth.client import call
from benchmarks.truth.plan import Unit
from benchmarks.truth.process import service
from whywait import analysis
from whywait.analysis.measure.phase_times import phase_times
from whywait.analysis.model import Analysis
from whywait.tracer.schema import SCOPE

TRUTH_FILE: Final = "truth.jsonl"
Record = dict[str, Any]
Said = Callable[[str], None]


def run_unit(unit: Unit, *, yardstick: Path | None, keep: Path | None = None, said: Said = print) -> list[Record]:
    """One record per request of the unit. `keep` is a folder to leave traces and truth in."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        began = perf_counter()
        with (
            service(folder / "traces", unit.loop, yardstick=yardstick, without=unit.without) as port,
            open(folder / TRUTH_FILE, "w") as file,
        ):
            for cell in unit.cells:
                before = _lacked(port) if cell.kind == plan.NULL else {}
                noted_here = load.drive(port, cell)
                after = _lacked(port) if before else {}
                for told in noted_here:
                    told |= {"intensity": cell.intensity, "seed": cell.seed, "loop": unit.loop}
                    if cell.kind == plan.NULL:
                        told |= {name: ns - before[name] for name, ns in after.items()}
                    file.write(json.dumps(told) + "\n")
            if plan.is_last(unit.cells[-1]):
                with suppress(OSError):
                    call(port, "/cell/leave")
        drove = perf_counter()
        found = analysis.analyze(folder / "traces")
        noted = [json.loads(line) for line in (folder / TRUTH_FILE).read_text().splitlines()]
        records = judge(noted, found)
        said(f"{len(records)} requests, {drove - began:.0f} s driven, {perf_counter() - drove:.1f} s judged")
        return records


def _lacked(port: int) -> dict[str, int]:
    figures: dict[str, int] = json.loads(call(port, "/cell/lacked"))
    return figures


def judge(noted: list[Record], found: Analysis) -> list[Record]:
    """Joins truth and traces by the id that stands in each request's path."""
    requests, ids = _requests_by_id(found)
    told = _told(found, ids)
    records = []
    for one in noted:
        row = requests.get(one["request"])
        record = one | {"found": row is not None}
        if row is not None:
            record |= {"wall_ns": int(row["wall_ns"]), **told.get(row["request_id"], {"causes": {}})}
            record["spans"] = {}
        records.append(record)
    ordinary = ordinary_spans(found.spans)
    trace_of = {rid: str(row["trace_id"]) for rid, row in requests.items()}
    for record in records:
        if record["found"]:
            record["spans"] = blamed(ordinary.get(trace_of[record["request"]], []))
    return [*records, *_verdicts_of_nulls(records, found, requests)]


def _requests_by_id(found: Analysis) -> tuple[dict[str, Any], dict[str, str]]:
    """Rows of the request table by the benchmark's id; that id by trace id."""
    servers = found.spans[found.spans["span_kind"] == "server"]
    ids = {
        str(trace_id): _path(attributes).rsplit("/", 1)[-1]
        for trace_id, attributes in zip(servers["trace_id"], servers["attributes"], strict=True)
    }
    whole = found.requests[~found.requests["incomplete"]]
    rows = {ids[row["trace_id"]]: row for row in whole.to_dict("records") if row["trace_id"] in ids}
    return rows, ids


def _path(attributes: dict[str, Any]) -> str:
    path = attributes.get("url.path") or attributes.get("http.target") or ""
    return str(path).partition("?")[0]


def _told(found: Analysis, ids: dict[str, str]) -> dict[str, Record]:
    """Per request: ns per cause, the standard error where sampled, and the chief culprit of each cause."""
    causes = found.causes
    summed = causes.groupby(["request_id", "cause"]).agg(
        ns=("amount_ns", "sum"), error_ns=("error_ns", _root_of_squares)
    )
    sampled = causes[causes["evidence"] == "sampled"].groupby(["request_id", "cause"])["amount_ns"].sum()
    told: dict[str, Record] = defaultdict(lambda: {"causes": {}, "culprits": {}, "phase": ""})
    phases = phase_times(found)
    chief_phases = phases[phases["phase"] != ""].sort_values("amount_ns").drop_duplicates("request_id", keep="last")
    for request_id, word in zip(chief_phases["request_id"], chief_phases["phase"], strict=True):
        told[request_id]["phase"] = str(word)
    for one in summed.reset_index().to_dict("records"):
        told[one["request_id"]]["causes"][str(one["cause"])] = {
            "ns": int(one["ns"]),
            "error_ns": int(one["error_ns"]),
            "sampled_ns": int(sampled.get((one["request_id"], one["cause"]), 0)),
        }
    named = found.culprits[found.culprits["culprit"] != ""].copy()
    named["culprit_line"] = named["culprit_line"].fillna(0)
    keys = ["request_id", "cause", "trace_id", "culprit", "culprit_file", "culprit_line", "culprit_trace_id"]
    by_culprit = named.groupby(keys, dropna=False)["ns"].sum().reset_index()
    chief = by_culprit.sort_values("ns", ascending=False).drop_duplicates(["request_id", "cause"])
    for row in chief.to_dict("records"):
        own = row["culprit_trace_id"] in ("", row["trace_id"])
        told[row["request_id"]]["culprits"][row["cause"]] = {
            "name": row["culprit"],
            "file": row["culprit_file"],
            "line": int(row["culprit_line"]),
            "request": ""
            if own
            else ids.get(row["culprit_trace_id"], ""),  # "": work of no request, with a trace of its own
        }
    return told


def _root_of_squares(errors: "pd.Series[int]") -> float:
    return float((errors.astype(float) ** 2).sum() ** 0.5)


def ordinary_spans(spans: pd.DataFrame) -> dict[str, list[Span]]:
    """The spans that are not whywait's, by trace; parents are the nearest ordinary ones.

    Ours hang beside the framework's spans, not below them. Without us a developer's span would hang below the
    framework's that was open around it, so that is where it is taken to hang.
    """
    above = dict(zip(spans["span_id"], spans["parent_id"], strict=True))
    ordinary = spans[spans["scope"] != SCOPE]
    ids = set(ordinary["span_id"])

    def parent_of(span_id: str) -> str:
        at = above.get(span_id, "")
        while at and at not in ids:
            at = above.get(at, "")
        return at or ""

    found: dict[str, list[Span]] = defaultdict(list)
    roots: set[str] = set()
    for row in ordinary.to_dict("records"):
        if row["span_kind"] == "server":
            roots.add(row["span_id"])
        parent = "" if row["span_kind"] == "server" else parent_of(row["span_id"])
        found[row["trace_id"]].append(
            Span(row["span_id"], parent, row["name"], row["scope"], row["start_ns"], row["end_ns"])
        )
    return {trace_id: [_below_the_framework(one, of, roots) for one in of] for trace_id, of in found.items()}


def _below_the_framework(span: Span, spans: list[Span], roots: set[str]) -> Span:
    if span.scope == FRAMEWORK or span.parent not in roots:
        return span
    around = [
        one
        for one in spans
        if one.scope == FRAMEWORK
        and one.span_id not in roots
        and one.start_ns <= span.start_ns
        and span.end_ns <= one.end_ns
    ]
    innermost = max(around, key=lambda one: one.start_ns, default=None)
    return span if innermost is None else replace(span, parent=innermost.span_id)


def _verdicts_of_nulls(records: list[Record], found: Analysis, requests: dict[str, Any]) -> list[Record]:
    """What the verdict says of each healthy cell as a whole: one more record, without a request."""
    cells: dict[tuple[str, str, int], list[Record]] = defaultdict(list)
    for one in records:
        if one["kind"] == plan.NULL and one["found"]:
            cells[one["name"], one["loop"], one["seed"]].append(one)
    made = []
    for (name, loop, seed), of in cells.items():
        ids = {requests[one["request"]]["request_id"] for one in of}
        own = replace(
            found,
            requests=found.requests[found.requests["request_id"].isin(ids)],
            causes=found.causes[found.causes["request_id"].isin(ids)],
            culprits=found.culprits[found.culprits["request_id"].isin(ids)],
        )
        accused = {
            str(reason.cause): int(reason.mean_ns * len(of))
            for verdict in analysis.verdict(own)
            for reason in verdict.judgement.reasons
        }
        made.append(
            {"kind": "null verdict", "name": name, "loop": loop, "seed": seed, "intensity": "",
             "requests": len(of), "accused": accused, "queued_ns": of[0]["queued_ns"],
             "gil_ns": of[0]["workers_gil_ns"] + sum(one["on_loop"]["gil_ns"] for one in of),
             "gc_ns": sum(one["on_loop"]["gc_ns"] for one in of)}
        )  # fmt: skip
    return made
