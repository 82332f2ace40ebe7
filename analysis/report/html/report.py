"""The report as one self-contained HTML file, without network access."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from whywait.analysis.causes import CAUSES, INFO, Cause
from whywait.analysis.load.files import no_collection
from whywait.analysis.measure.felt import PERCENTILES
from whywait.analysis.measure.percentile_composition import composition, sample_of_endpoint
from whywait.analysis.measure.selection import only_requests
from whywait.analysis.measure.summary import summarize, worst_culprits
from whywait.analysis.model import Analysis
from whywait.analysis.report.code_line import code_line
from whywait.analysis.report.html.dots import run, strips
from whywait.analysis.report.html.listed import MOST_LISTED, listed
from whywait.analysis.report.html.page import rendered
from whywait.analysis.report.html.timeline import Timeline, timeline
from whywait.analysis.report.markdown import verdict_markdown
from whywait.analysis.report.told import Told, told_of
from whywait.analysis.text import place, safe
from whywait.analysis.verdicts.capacity_words import sentences
from whywait.analysis.verdicts.judgement import Judgement
from whywait.analysis.verdicts.not_observed import not_observed
from whywait.analysis.verdicts.sentences import Verdict
from whywait.analysis.verdicts.short_answer import answer
from whywait.analysis.write.whole_file import whole_file

MAX_CULPRITS: Final = 15
MAX_TIMELINES: Final = 100
MAX_TILES: Final = 16_000  # of all timelines: about 200 bytes each, and a page has to open


def write_html(
    analysis: Analysis,
    path: str | os.PathLike[str],
    title: str = "whywait",
    *,
    top: int = 10,
    notes: Sequence[str] = (),
    code: bool = True,
    jaeger: str = "",
    told: Told | None = None,
) -> None:
    """Write the report to `path`, completely or not at all. Raises InputError when it cannot be written."""
    text = page(analysis, title, top=top, notes=notes, code=code, jaeger=jaeger, told=told)
    with whole_file(Path(path)) as file:
        file.write(text)


@no_collection()
def page(
    analysis: Analysis, title: str, *, top: int = 10, notes: Sequence[str] = (), code: bool = True,
    jaeger: str = "", told: Told | None = None,
) -> str:  # fmt: skip
    """Return the report's HTML. The template escapes trace content and removes control characters.

    `notes` are the caller's own sentences, shown at the end; with `code` each culprit's line of code is shown where its
    file is found below the working folder. `jaeger`: the URL of a Jaeger that has these traces, to link to. `told`: `told_of(analysis)`, where it is known.
    """
    verdicts, processes, _ = told or told_of(analysis)
    timelines, left_out = _timelines(analysis, top, [one.endpoint for one in verdicts[:top]])
    return rendered(
        "report.html.j2",
        {
            "title": safe(title),
            "notes": notes,
            "incomplete": int(analysis.requests["incomplete"].sum()),
            "findings": analysis.findings,
            "run": run(analysis),
            "listed": list(listed(analysis)),
            "most_listed": MOST_LISTED,
            "jaeger": jaeger.rstrip("/") if jaeger.startswith(("http://", "https://")) else "",
            "limits": sentences(processes),
            "processes": processes,
            "endpoints": _endpoints(analysis, verdicts, timelines, code),
            "culprits": [
                {**row, "place": place(row["culprit_file"], row["culprit_line"])}
                for row in worst_culprits(analysis.culprits, MAX_CULPRITS).to_dict("records")
            ],
            "timelines": timelines,
            "timelines_left_out": left_out,
            "drawn": {one.trace_id for one in timelines},
            "not_observed": not_observed(analysis.requests),
            "advice": INFO,
        },
    )


def _timelines(analysis: Analysis, top: int, endpoints: Sequence[str]) -> tuple[list[Timeline], int]:
    """Return timelines of the `top` slowest requests and the slowest of each of these endpoints; and how many were
    left out."""
    slowest = analysis.analysed.sort_values("wall_ns", ascending=False)
    first_of_each = ~slowest["endpoint"].duplicated() & slowest["endpoint"].isin(endpoints)
    slowest = slowest[first_of_each | (np.arange(len(slowest)) < top)]
    drawn = only_requests(analysis, slowest.head(MAX_TIMELINES))
    made: list[Timeline] = []
    tiles = 0
    for request_id in drawn.requests["request_id"]:
        one = timeline(drawn, str(request_id))
        tiles += one.size
        if made and tiles > MAX_TILES:
            break
        made.append(one)
    return made, len(slowest) - len(made)


def _endpoints(
    analysis: Analysis, verdicts: Sequence[Verdict], timelines: Sequence[Timeline], code: bool
) -> list[dict[str, Any]]:
    """Everything on the page about each endpoint."""
    over_time, summary = strips(analysis), summarize(analysis.causes)
    begun_ns = int(analysis.requests["start_ns"].min()) if len(analysis.requests) else 0
    drawn = {one.endpoint: one for one in reversed(timelines)}  # the slowest comes first
    return [
        {
            "name": one.endpoint, "judgement": one.judgement, "headline": one.headline, "answer": answer(one),
            "markdown": verdict_markdown(one),
            "bars": _bars(analysis, one.endpoint), "behind": _behind(one.judgement), "strip": over_time[one.endpoint],
            "numbers": summary[summary["endpoint"] == one.endpoint].to_dict("records"),
            "slowest": drawn.get(safe(one.endpoint)), "code": _code(one.judgement, begun_ns) if code else "",
        }
        for one in verdicts
    ]  # fmt: skip


def _code(judgement: Judgement, traced_ns: int) -> str:
    first = next(iter(judgement.reasons), None)
    return code_line(first.culprit_file, first.culprit_line or 0, traced_ns) if first and first.culprit_file else ""


def _behind(one: Judgement) -> dict[str, Any] | None:
    """The first reason's wait, divided by what those ahead did meanwhile."""
    parts = one.reasons[0].meanwhile if one.reasons else ()
    by_cause = [sum(part.ns for part in parts if (part.cause or Cause.UNEXPLAINED) is cause) for cause in CAUSES]
    return _bar("those ahead", by_cause) if parts else None


def _bars(analysis: Analysis, endpoint: str) -> list[dict[str, Any]]:
    """Its PERCENTILES, divided in the proportions of the requests around each; the parts sum to it."""
    sample = sample_of_endpoint(analysis, endpoint)
    return [_bar(f"p{percentile}", composition(sample, percentile)) for percentile in PERCENTILES]


def _bar(name: str, by_cause: Sequence[int]) -> dict[str, Any]:
    total_ns = sum(by_cause)
    parts = [
        {"cause": str(cause), "ns": ns, "width": round(ns / max(total_ns, 1) * 100, 3)}
        for cause, ns in zip(CAUSES, by_cause, strict=True)
        if ns
    ]
    return {"name": name, "ns": total_ns, "parts": sorted(parts, key=lambda part: -part["ns"])}
