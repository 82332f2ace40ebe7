"""The requests of an endpoint over time, a dot each: when it arrived, how long its client waited, its chief cause."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import starmap
from typing import Final

import numpy as np
import pandas as pd

from whywait.analysis.model import Analysis, attributes_of
from whywait.analysis.text import amount, counted, milliseconds
from whywait.tracer import schema

MOST_DOTS: Final = 1_000  # of an endpoint: about 60 bytes each
_MOMENTS: Final = 500  # into which the time is cut where there are more: the slowest of each are drawn


@dataclass(frozen=True, slots=True)
class Dot:
    """One request; `left` and `top` in percent of the strip."""

    left: float
    top: float
    cause: str
    trace_id: str
    took: str


@dataclass(frozen=True, slots=True)
class Strip:
    """All dots of an endpoint, on a scale from 0 to its slowest request."""

    dots: tuple[Dot, ...]
    counted: str  # all requests
    cut: bool  # the dots are only the slowest of each moment
    highest_ms: str
    lasted: str
    from_s: float  # of the first and the last, after the first request of all
    to_s: float


def strips(analysis: Analysis) -> dict[str, Strip]:
    """Return for each endpoint its analysed requests over time."""
    largest = analysis.causes.groupby(["request_id", "cause"], sort=False, observed=True)["amount_ns"].sum()
    chief = largest.reset_index().sort_values("amount_ns").drop_duplicates("request_id", keep="last")
    causes = chief.set_index("request_id")["cause"]
    requests = analysis.analysed
    requests = requests.assign(cause=requests["request_id"].map(causes).astype(str))
    first_ns = int(analysis.requests["start_ns"].min()) if len(analysis.requests) else 0
    return {str(endpoint): _strip(group, first_ns) for endpoint, group in requests.groupby("endpoint", sort=False)}


def _strip(requests: pd.DataFrame, first_ns: int) -> Strip:
    begun_ns = int(requests["start_ns"].min())
    lasted_ns = int(requests["start_ns"].max()) - begun_ns
    highest_ns = max(1, int(requests["wall_ns"].max()))
    at = (requests["start_ns"] - begun_ns) / max(1, lasted_ns)
    shown = requests.assign(at=at)
    if len(shown) > MOST_DOTS:
        ranked = shown.sort_values("wall_ns", ascending=False)
        nth = ranked.groupby((ranked["at"] * _MOMENTS).astype(int).clip(upper=_MOMENTS - 1)).cumcount()
        shown = ranked[nth < MOST_DOTS // _MOMENTS]
    shown = shown.sort_values("start_ns")
    took_ns = shown["wall_ns"].to_numpy(dtype=np.float64)
    left = (shown["at"].to_numpy(dtype=np.float64) * 100).round(2)
    top = ((1 - took_ns / highest_ns) * 100).round(1)
    columns = (
        left.tolist(),
        top.tolist(),
        shown["cause"].tolist(),
        shown["trace_id"].tolist(),
        map(milliseconds, took_ns),
    )
    dots = tuple(starmap(Dot, zip(*columns, strict=True)))
    return Strip(
        dots,
        counted(len(requests), "request"),
        len(dots) < len(requests),
        milliseconds(highest_ns),
        f"{lasted_ns / 1e9:,.1f} s" if lasted_ns >= 1e9 else amount(lasted_ns),
        (begun_ns - first_ns) / 1e9,
        (begun_ns - first_ns + lasted_ns) / 1e9,
    )


def run(analysis: Analysis) -> tuple[str, ...]:
    """Return which services ran where and when; which programs and versions; how many of their requests are here."""
    requests = analysis.requests
    if requests.empty:
        return (f"{counted(0, 'request')}.",)
    seen = attributes_of(analysis.spans).columns(("host.name", schema.RUN))
    hosts, programs = (sorted({str(one) for one in found if one is not None} - {""}) for found in seen.values())
    services = ", ".join(sorted(set(requests["service"]) - {""}))
    kept, of = len(requests), float(requests["weight"].sum())
    many = f"{counted(of, 'request')}, each recorded"
    if round(of) > kept:
        many = f"About {counted(of, 'request')}, of which {kept:,} were recorded: slow ones, and a sample of the others"
    if not analysis.findings:
        many += "; no loss was noted"
    where = " on ".join(filter(None, (services, ", ".join(hosts))))
    return tuple(filter(None, (", ".join(filter(None, (where, when(requests)))), "; ".join(programs), f"{many}.")))


def when(requests: pd.DataFrame) -> str:
    """Return when the requests were made: "2026-03-01 10:00:00 UTC, 12.5 s"; "" where there are none."""
    if requests.empty:
        return ""
    begun_ns = int(requests["start_ns"].min())
    begun = datetime.fromtimestamp(begun_ns / 1e9, UTC)
    return f"{begun:%Y-%m-%d %H:%M:%S} UTC, {(int(requests['end_ns'].max()) - begun_ns) / 1e9:,.1f} s"
