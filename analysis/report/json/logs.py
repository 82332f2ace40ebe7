"""The result of `whywait logs` as JSON. A change of its shape raises FORMAT."""

from dataclasses import asdict
from typing import Any, Final

from whywait.analysis.logs.model import LoggedRequest, LogReading
from whywait.analysis.logs.totals import totals, unknowable
from whywait.analysis.report.json import FORMAT

_PLAIN: Final = ("request", "start_ns", "end_ns", "clocked_ns", "stated_ns", "untimed_ns")


def logs_as_json(reading: LogReading, *, top: int = 1) -> dict[str, Any]:
    """Return plain values: sums over all requests, and the `top` slowest ones in full. Times are integer ns."""
    slowest = sorted(reading.requests, key=lambda one: -one.wall_ns)[:top]
    return {
        "format": FORMAT,
        "lines": reading.lines,
        "requests": len(reading.requests),
        "findings": [{"code": one.code, "message": one.message, "count": one.count} for one in reading.findings],
        "stretches": [
            asdict(row) | {"p50_ns": int(row.p50_ns), "p95_ns": int(row.p95_ns), "share": round(row.share, 6)}
            for row in totals(reading.requests)
        ],
        "slowest": [_request(one) for one in slowest],
    }  # fmt: skip


def _request(one: LoggedRequest) -> dict[str, Any]:
    return {
        **{name: getattr(one, name) for name in _PLAIN},
        "others_in_flight": one.others,
        "stretches": [asdict(stretch) | {"ns": stretch.ns} for stretch in one.stretches],
        "phases": [asdict(phase) for phase in one.phases],
        "silences": [asdict(silence) | {"ns": silence.ns} for silence in one.silences],
        "unknown": unknowable(one),
    }
