"""Reports the demonstration's result: one table, the comparison in words, and the same as JSON."""

import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
from rich.table import Table
from rich.text import Text

from demo_service.chapters.story_cells import CauseShare, Cell, Comparison, label
from whywait.analysis import Cause
from whywait.analysis.measure.weights import percentiles
from whywait.analysis.text import amount, counted, milliseconds

TOP_CAUSES: Final = 3
RESULTS_FORMAT: Final = 2
_PACKAGES: Final = ("whywait", "fastapi", "uvicorn", "scikit-learn", "xgboost", "xgboost-cpu", "pandas", "numpy")


def table(cells: Sequence[Cell]) -> Table:
    """Mode × clients: what the clients saw, and what a request of the cell waited for."""
    made = Table(title="What the clients measured, and what each request's time went to (mean per request)")
    made.add_column("mode", no_wrap=True)
    for name in ("clients", "requests/s", "p50 ms", "p99 ms", "p50 ms\ntold", "accounted\nfor"):
        made.add_column(name, justify="right", no_wrap=True)
    made.add_column(f"top {TOP_CAUSES} causes: ms, share")
    made.add_column("unexplained", justify="right", no_wrap=True)
    before = ""
    for cell in cells:
        if before and cell.mode != before:
            made.add_section()
        before = cell.mode
        made.add_row(*(Text(text) for text in _row(cell)))
    return made


def _row(cell: Cell) -> tuple[str, ...]:
    seen = cell.seen
    named = [one for one in cell.causes if one.cause != Cause.UNEXPLAINED and one.share >= 0.01][:TOP_CAUSES]
    unknown_ns = cell.mean_ns(Cause.UNEXPLAINED)
    return (
        cell.mode,
        str(cell.clients),
        f"{seen.requests_per_s:.1f}",
        milliseconds(seen.percentile_ns(0.5)),
        milliseconds(seen.percentile_ns(0.99)),
        milliseconds(cell.felt_p50_ns) if cell.traced else "–",
        f"{cell.accounted:.1%}",
        ", ".join(_share_text(one) for one in named) if cell.traced else "no request was traced",
        f"{milliseconds(unknown_ns)}, {cell.share(Cause.UNEXPLAINED):.0%}" if cell.traced else "–",
    )


def felt_text(cells: Sequence[Cell]) -> str:
    """What the traces say that clients felt, beside the clients' own clocks, in two sentences."""
    errors_ns = [one for cell in cells for one in cell.errors_ns]
    if not errors_ns:
        return "No request that a client measured was traced."
    p50, p95 = percentiles(np.array(errors_ns), np.ones(len(errors_ns)), (50, 95))
    least = min(cells, key=lambda cell: cell.accounted)
    told_ns = sum(map(sum, (one.told_ns for one in cells)))
    measured_ns = sum(sum(one.seen.latencies_ns) for one in cells)
    starved = f"; its clients waited for a CPU {least.seen.starved:.1%} of the time" if least.seen.starved else ""
    return (
        f"By their own clocks the clients waited {measured_ns / 1e9:.1f} s; by the traces of the service they felt "
        f"{told_ns / 1e9:.1f} s (accounted for: at least {least.accounted:.1%}, {label(least.mode, least.clients)}{starved}). "
        f"The two differ by {amount(p50)} per request at p50, {amount(p95)} at p95."
    )


def _share_text(one: CauseShare) -> str:
    text = f"{one.cause} {milliseconds(one.mean_ns)} {one.share:.0%}"
    return text.replace(" ", "\N{NO-BREAK SPACE}")  # a line breaks between causes, never inside one


def comparison_text(found: Comparison) -> str:
    """Threads against batch in a few sentences, all numbers from the data."""
    slow, fast = found.slow, found.fast
    slow_p50, fast_p50 = (amount(one.seen.percentile_ns(0.5)) for one in (slow, fast))
    clients = counted(slow.clients, "client")
    if found.factor < 1:
        return f"With {clients}, {fast.mode} was not faster than {slow.mode} here: p50 {fast_p50} against {slow_p50}."
    first = (
        f"With {clients}, {fast.mode} answers {found.factor:.1f}× faster than {slow.mode} at p50 "
        f"({fast_p50} instead of {slow_p50})."
    )
    return f"{first} {_reason(found)}"


def _reason(found: Comparison) -> str:
    """Why batches are faster: the causes whose mean time fell, and those against it."""
    if not (found.slow.traced and found.fast.traced):
        return "The reason is unknown: no request of one of them was traced."
    saved_ns = sum(before - after for _, before, after in found.saved)
    if saved_ns <= 0:
        return "The service's own mean time did not fall, so the causes do not explain it."
    told = [row for row in found.saved if abs(row[1] - row[2]) >= saved_ns / 100]  # the rest is noise
    said = f"Because, per request on average: {_listed(told, saved_ns)}."
    against = _listed(filter(lambda row: row[2] > row[1], told), 0)
    return f"{said} Against it: {against}." if against else said


def _listed(rows: Iterable[tuple[Any, float, float]], saved_ns: float) -> str:
    """Causes before and after; with `saved_ns` only those that fell, and their parts of it."""
    return "; ".join(
        f"{cause} {milliseconds(before)} → {amount(after)}"
        + (f" ({(before - after) / saved_ns:.0%} of the saving)" if saved_ns else "")
        for cause, before, after in rows
        if before > after or not saved_ns
    )


def conditions() -> dict[str, Any]:
    """The machine and versions the numbers were measured on."""
    return {
        "cpus_usable": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "cpus": os.cpu_count(),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _version(name)) is not None},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def as_json(cells: Sequence[Cell], found: Comparison | None, verdicts: Sequence[str]) -> dict[str, Any]:
    """The results as plain values; latencies and causes in milliseconds."""
    return {
        "format": RESULTS_FORMAT,
        "cells": [_cell_json(cell) for cell in cells],
        "felt": felt_text(cells),
        "verdicts": list(verdicts),
        "comparison": None
        if found is None
        else {
            "slow": found.slow.mode,
            "fast": found.fast.mode,
            "clients": found.slow.clients,
            "factor_p50": round(found.factor, 3),
            "text": comparison_text(found),
        },
    }


def _cell_json(cell: Cell) -> dict[str, Any]:
    seen = cell.seen
    return {
        "mode": cell.mode,
        "clients": cell.clients,
        "answers": len(seen.latencies_ns),
        "failures": seen.failures,
        "first_failure": seen.first_failure,
        "requests_per_s": round(seen.requests_per_s, 3),
        "client_p50_ms": seen.percentile_ns(0.5) / 1e6,
        "client_p99_ms": seen.percentile_ns(0.99) / 1e6,
        "told_p50_ms": cell.felt_p50_ns / 1e6,
        "accounted": cell.accounted,
        "clients_starved": seen.starved,
        "told_error_ms": [round(one / 1e6, 3) for one in cell.errors_ns],
        "requests_analysed": cell.traced,
        "requests_incomplete": cell.incomplete,
        "causes": [{"cause": one.cause, "mean_ms": one.mean_ns / 1e6, "share": one.share} for one in cell.causes],
    }
