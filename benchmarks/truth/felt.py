"""The time that whywait says a client felt, against that client's own clock. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from whywait.tracer.probes.requests.tcp_info import TICK_NS

MS: Final = 1e6


def felt(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the errors, the share of the clients' time that was told, and how many windows their causes fill exactly;
    by loop, and of all."""
    whole = [one for one in records if one.get("found") and one["client_ns"]]
    loops = sorted({one["loop"] for one in whole})
    return {loop: _of([one for one in whole if one["loop"] == loop]) for loop in loops} | {"all": _of(whole)}


def _of(whole: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    error_ms = [(one["wall_ns"] - one["client_ns"]) / MS for one in whole]
    client_ns = sum(one["client_ns"] for one in whole)
    return {
        "requests": len(whole),
        "tick_ms": TICK_NS / MS,
        "error_ms_p50": percentile([abs(one) for one in error_ms], 50),
        "error_ms_p95": percentile([abs(one) for one in error_ms], 95),
        "bias_ms_p50": percentile(error_ms, 50),
        "told_share": sum(one["wall_ns"] for one in whole) / client_ns if client_ns else None,
        "conserved": sum(_is_filled(one) for one in whole),
    }


def _is_filled(one: Mapping[str, Any]) -> bool:
    return sum(of["ns"] for of in one["causes"].values()) == one["wall_ns"]


def felt_lines(told: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what `felt` found as a section of the page."""
    yield "## What clients felt\n"
    yield "Each client measures by its own clock how long its request took, from the first byte that it sent to the last"
    yield f"that came. The kernel of this machine tells in ticks of {told['all']['tick_ms']:.0f} ms when data came.\n"
    yield "| | requests | error p50 ms | error p95 ms | told less measured, p50 ms | told, of all time measured | filled |"
    yield "|---|---:|---:|---:|---:|---:|---:|"
    for loop, one in told.items():
        if one["requests"]:
            yield (
                f"| {loop} | {one['requests']} | {one['error_ms_p50']:.2f} | {one['error_ms_p95']:.2f} | "
                f"{one['bias_ms_p50']:.2f} | {one['told_share']:.1%} | {one['conserved']} |"
            )
    yield ""


def percentile(values: Sequence[float], q: float) -> float | None:
    """Return it; None of nothing."""
    return float(np.percentile(values, q)) if values else None
