"""What each tool put out of a run, as stretches."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.street.contract import Program
from benchmarks.street.peers import pprof
from benchmarks.street.peers.evidence import AWAITS, RUNS, SPAN, Frame, State, Stretch
from benchmarks.street.peers.read_spans import is_of, stretches
from benchmarks.street.peers.routes import handlers

PYSPY_RATE: Final = 100
_SENTRY_MS: Final = 1e3 / 101
_SYNTHETIC: Final = ("[await]", "[self]", "[out-of-context]", "[root]")
_LOOP_SLEEPS: Final = frozenset({"select", "poll"})
Counts = Counter[Stretch]
"""Milliseconds of stretches that are alike."""


def pyinstrument(program: Program, out: Path, requests: int) -> list[Stretch]:
    """The call trees of the endpoint's requests, one request each."""
    trees = [one["profile"]["root_frame"] for one in _lines(out) if one["endpoint"] == program.endpoint]
    found = Counts()
    for tree in trees:
        if tree:
            _calls(tree, (), found)
    return _summed(found, len(trees))


def _calls(node: Mapping[str, Any], above: tuple[Frame, ...], found: Counts) -> None:
    name = ".".join(filter(None, [node.get("class_name"), node["function"]]))
    synthetic = node["function"] in _SYNTHETIC
    frames = above if synthetic else (*above, Frame(node["file_path"] or "", name, node["line_no"]))
    own_ms = (node["time"] - sum(one["time"] for one in node["children"])) * 1e3
    if own_ms > 0:
        awaits = node["function"] in ("[await]", "[out-of-context]")
        found[Stretch(0, frames, "", True, AWAITS if awaits else RUNS)] += own_ms
    for one in node["children"]:
        _calls(one, frames, found)


def pyspy(program: Program, out: Path, requests: int) -> list[Stretch]:
    """The folded stacks of all threads, idle ones too: `name (file:line);... count`."""
    found = Counts()
    for folded in (out / "folded").read_text().splitlines():
        stack, _, count = folded.rpartition(" ")
        frames = tuple(_folded(one) for one in stack.split(";"))
        found[Stretch(0, frames, "", False, RUNS)] += int(count) * 1e3 / PYSPY_RATE
    return _summed(found, requests)


def _folded(text: str) -> Frame:
    name, _, place = text.rpartition(" (")
    file, _, line = place.rstrip(")").rpartition(":")
    return Frame(file, name, int(line)) if line.isdigit() else Frame(place.rstrip(")"), name or text)


def sentry(program: Program, out: Path, requests: int) -> list[Stretch]:
    """The transactions' spans, and their profiles with all threads that were sampled meanwhile."""
    items = list(_lines(out))
    spans = [span for one in items if one["type"] == "transaction" for span in _transaction(one["event"])]
    profiles = [one["event"] for one in items if one["type"] == "profile"]
    judged = [one for one in profiles if _is_named(program, one["transactions"][0]["name"])]
    found = Counts()
    for one in judged:
        _samples(one["profile"], found)
    return [*stretches(program, spans, requests), *_summed(found, len(judged))]


def _is_named(program: Program, name: str) -> bool:
    """A transaction is named by the endpoint's path or its function."""
    return is_of(program, {"name": name, "attributes": {}}) or name.rpartition(".")[2] in _named(program)


def _named(program: Program) -> set[str]:
    path = program.endpoint.partition(" ")[2]
    return {name for name, at in handlers("\n".join(program.source)).items() if at == path}


def _transaction(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    trace = event["contexts"]["trace"]
    request = {"http.url": event.get("request", {}).get("url", "")}
    root = {**event, "span_id": trace["span_id"], "description": event["transaction"], "data": request}
    for one in (root, *event["spans"]):
        begin, end = (_epoch_ns(one[key]) for key in ("start_timestamp", "timestamp"))
        yield {
            "name": one.get("description") or one.get("op") or "", "id": one["span_id"], "begin_ns": begin, "end_ns": end,
            "parent": "" if one is root else one.get("parent_span_id", ""),
            "attributes": {**one.get("data", {}), "op": one.get("op") or ""},
        }  # fmt: skip


def _epoch_ns(stamp: str | float) -> int:
    return int((datetime.fromisoformat(stamp).timestamp() if isinstance(stamp, str) else stamp) * 1e9)


def _samples(profile: Mapping[str, Any], found: Counts) -> None:
    frames = [Frame(one["abs_path"], one["function"], one["lineno"]) for one in profile["frames"]]
    for one in profile["samples"]:
        stack = tuple(frames[at] for at in reversed(profile["stacks"][one["stack_id"]]))
        found[Stretch(0, stack, "", True, RUNS)] += _SENTRY_MS


def spans(program: Program, out: Path, requests: int) -> list[Stretch]:
    """OpenTelemetry's and Logfire's."""
    return stretches(program, list(_lines(out)), requests)


def ddtrace(program: Program, out: Path, requests: int) -> list[Stretch]:
    """Spans, and the profiler's wall time and waits for locks of all threads and tasks."""
    traced = list(_lines(out))
    judged = {one["id"] for one in traced if not one["parent"] and is_of(program, one)}
    found = Counts()
    for file in out.glob("*.pprof"):
        for sample in pprof.read(file):
            of_request = sample.labels.get("local root span id") in judged
            lock = sample.labels.get("lock name", "")
            for kind in ("wall-time", "lock-acquire-wait", "lock-release-hold"):
                if value := sample.values.get(kind, 0):
                    words = f"{kind} of lock {lock}" if lock else ""
                    found[Stretch(0, sample.frames, words, of_request, _state(sample))] += value / 1e6
    return [*stretches(program, traced, requests), *_summed(found, requests)]


def _state(sample: pprof.Sample) -> State:
    """A task's frames stand below those of the loop that sleeps meanwhile; uvloop has none: there it is not known."""
    if any(frame.function.split(".")[-1] in _LOOP_SLEEPS for frame in sample.frames[:-1]):
        return AWAITS
    return SPAN if "task name" in sample.labels and not sample.values.get("cpu-time") else RUNS


def whywait(program: Program, report: Mapping[str, Any]) -> list[Stretch]:
    """All reasons of the endpoint: cause, culprit, detail and remedy."""
    reasons = [
        one for found in report["endpoints"] if found["endpoint"] == program.endpoint for one in found["reasons"]
    ]
    return [
        Stretch(
            one["amount_ns"] / 1e6, (Frame(str(one["file"]), str(one["culprit"]).removesuffix("()"), one["line"] or 0),),
            f"{one['cause']}: {one['detail']}; {one['remedy']['text']}", True, SPAN, one["cause"],
        )
        for one in reasons
    ]  # fmt: skip


def _lines(out: Path) -> Iterator[dict[str, Any]]:
    for file in sorted(out.glob("*.jsonl")):
        yield from map(json.loads, file.read_text().splitlines())


def _summed(found: Counts, shares: int) -> list[Stretch]:
    return [Stretch(ms / max(shares, 1), one.frames, one.words, one.of_request, one.state) for one, ms in found.items()]
