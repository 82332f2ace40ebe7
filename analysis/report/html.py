"""The report as one HTML file that needs nothing else, and no network."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from analysis.model import Analysis
from analysis.remedies import ADVICE
from analysis.report.answer import Answer, answer
from analysis.report.observed import unavailable
from analysis.report.pages import rendered, write_page
from analysis.report.safe_text import safe, short_place
from analysis.report.timeline import Timeline, timeline
from analysis.summary import percentile_profile, summarize, worst_culprits
from analysis.verdicts import verdict

MAX_CULPRITS: Final = 15
MAX_TIMELINES: Final = 100
MAX_TILES: Final = 16_000  # of all timelines: about 200 bytes each, and a page has to open
BARS: Final = (50, 95, 99)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """All that the page says about one endpoint."""

    name: str
    requests: int
    p50_ns: float
    p99_ns: float
    headline: str
    answer: Answer
    bars: list[dict[str, Any]]  # one per percentile of BARS
    numbers: list[dict[Any, Any]]  # one per cause, SUMMARY_COLUMNS


def write_html(
    analysis: Analysis,
    path: str | os.PathLike[str],
    title: str = "whywait",
    *,
    top: int = 10,
    notes: Sequence[str] = (),
) -> None:
    """Writes the report to `path`, whole or not at all; raises InputError when it cannot."""
    write_page(page(analysis, title, top=top, notes=notes), path)


def page(analysis: Analysis, title: str, *, top: int = 10, notes: Sequence[str] = ()) -> str:
    """The report's text. Trace content is escaped by the template and freed of control characters.

    `notes` are sentences of the caller's own, shown at its end.
    """
    timelines, left_out = _timelines(analysis, top)
    return rendered(
        "report.html.j2",
        {
            "title": safe(title),
            "notes": notes,
            "counted": f"{len(analysis.requests):,} requests",
            "incomplete": int(analysis.requests["incomplete"].sum()),
            "findings": analysis.findings,
            "endpoints": _endpoints(analysis),
            "culprits": [
                {**row, "place": short_place(row["culprit_file"], row["culprit_line"])}
                for row in worst_culprits(analysis.culprits, MAX_CULPRITS).to_dict("records")
            ],
            "timelines": timelines,
            "timelines_left_out": left_out,
            "drawn": {one.trace_id for one in timelines},
            "unavailable": unavailable(analysis.requests),
            "advice": ADVICE,
        },
    )


def _timelines(analysis: Analysis, top: int) -> tuple[list[Timeline], int]:
    """Return the timelines of the slowest requests, and how many of those asked for would be too many."""
    slowest = analysis.requests[analysis.requests["request_id"].isin(analysis.causes["request_id"])]
    slowest = slowest.sort_values("wall_ns", ascending=False).head(top)
    made: list[Timeline] = []
    tiles = 0
    for request_id in slowest["request_id"].head(MAX_TIMELINES):
        one = timeline(analysis, str(request_id))
        tiles += one.size
        if made and tiles > MAX_TILES:
            break
        made.append(one)
    return made, len(slowest) - len(made)


def _endpoints(analysis: Analysis) -> list[Endpoint]:
    summary = summarize(analysis.causes)
    verdicts = verdict(analysis)
    bars = _bars(analysis, [one.endpoint for one in verdicts])
    return [
        Endpoint(
            one.endpoint, one.requests, one.p50_ns, one.p99_ns, one.headline.removeprefix(f"{one.endpoint}: "),
            answer(one), bars[one.endpoint], summary[summary["endpoint"] == one.endpoint].to_dict("records"),
        )
        for one in verdicts
    ]  # fmt: skip


def _bars(analysis: Analysis, endpoints: list[str]) -> dict[str, list[dict[str, Any]]]:
    """For each endpoint, what its requests consisted of at each percentile of BARS."""
    profiles = {p: percentile_profile(analysis.requests, analysis.causes, p) for p in BARS}
    longest = max(
        (float(rows.groupby("endpoint")["mean_ns"].sum().max()) for rows in profiles.values()), default=1.0
    )
    made: dict[str, list[dict[str, Any]]] = {endpoint: [] for endpoint in endpoints}
    for percentile, profile in profiles.items():
        by_endpoint = dict(list(profile.groupby("endpoint")))
        for endpoint in endpoints:
            own = by_endpoint[endpoint]
            total = float(own["mean_ns"].sum())
            parts = [
                {"cause": str(cause), "ns": float(ns), "width": round(float(ns) / max(total, 1) * 100, 3)}
                for cause, ns in zip(own["cause"], own["mean_ns"], strict=True)
            ]
            made[endpoint].append(
                {"name": f"p{percentile}", "ns": total, "parts": parts, "of_longest": total / max(longest, 1)}
            )
    return made
