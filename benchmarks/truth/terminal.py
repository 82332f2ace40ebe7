"""A few lines for whoever runs a slice by hand."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.truth import plan
from benchmarks.truth.program_scores import is_right

MS = 1e6


def fault_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """One line per fault: how often its cause and its culprit were named, and by how much it was wrong."""
    yield f"{'fault':26} {'cause':14} {'scored':>6} {'cause':>6} {'culprit':>7} {'error ms p50':>12}"
    for name, one in told["faults"].items():
        if one["scored"] or one["left_out"]:
            yield (
                f"{name:26} {one['cause_meant']:14} {one['scored']:6d} {_share(one['cause']):>6} "
                f"{_share(one['culprit']):>7} {_number(one['error_ms_p50']):>12}  "
                + ", ".join(f"{count} {why}" for why, count in one["left_out"].items())
            )
    nulls = told["nulls"]
    felt = told["felt"]["all"]
    yield (
        f"felt against the client's clock: error p50 {_number(felt['error_ms_p50'])} ms, p95 {_number(felt['error_ms_p95'])} ms, "
        f"told {_share(felt['told_share'])} of it; causes fill {felt['conserved']} of {felt['requests']} windows"
    )
    yield f"healthy services accused: {_share(nulls['cells_accused_falsely'])} of {nulls['cells']}"


def request_lines(records: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """For each request what was true and what was told."""
    for one in records:
        if not one.get("found"):
            yield f"{one.get('request', one['name'])}: no trace"
            continue
        true = ", ".join(f"{part['cause']} {part['ns'] / MS:.1f}" for part in one["parts"])
        told = sorted(one["causes"].items(), key=lambda item: -item[1]["ns"])
        said = ", ".join(f"{cause} {of['ns'] / MS:.1f}" for cause, of in told if of["ns"] > MS / 10)
        right = ""
        if one["kind"] == plan.PROGRAM:
            right = "right: " if is_right(one) else "WRONG: "
        yield f"{right}{one['request']}, {one['wall_ns'] / MS:.1f} ms (its client: {one['client_ns'] / MS:.1f})\n    true: {true}\n    told: {said}"
        for cause, culprit in one["culprits"].items():
            place = f" ({culprit['file'].rsplit('/', 1)[-1]}:{culprit['line']})" if culprit["file"] else ""
            yield f"      {cause} by {culprit['name']}{place} {culprit['request']}".rstrip()


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
