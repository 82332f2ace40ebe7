"""The report as one HTML file that needs nothing else: no network, no script."""

import os
import tempfile
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from analysis.colours import COLOURS
from analysis.errors import InputError
from analysis.model import Analysis
from analysis.remedies import ADVICE
from analysis.report.observed import unavailable
from analysis.report.safe_text import milliseconds, safe, short_place
from analysis.report.timeline import timeline
from analysis.summary import percentile_profile, summarize, worst_culprits
from analysis.verdicts import verdict

MAX_CULPRITS: Final = 15
MAX_TIMELINES: Final = 100  # a page of a thousand is 15 MB, and nobody reads it

def write_html(
    analysis: Analysis, path: str | os.PathLike[str], title: str = "whywait", *, top: int = 10
) -> None:
    """Writes the report to `path`, whole or not at all; raises InputError when it cannot."""
    text = page(analysis, title, top=top)
    target = Path(path)
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}; does the folder exist?") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise InputError(f"cannot write {target}: {error.strerror}") from error


def page(analysis: Analysis, title: str, *, top: int = 10) -> str:
    """The report's text. Trace content is escaped by the template and freed of control characters."""
    environment = Environment(
        loader=PackageLoader("analysis.report", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(ms=milliseconds, safe_text=safe)
    verdicts = verdict(analysis)
    slowest = analysis.requests[analysis.requests["request_id"].isin(analysis.causes["request_id"])]
    slowest = slowest.sort_values("wall_ns", ascending=False).head(min(top, MAX_TIMELINES))
    return environment.get_template("report.html.j2").render(
        title=safe(title),
        requests=len(analysis.requests),
        incomplete=int(analysis.requests["incomplete"].sum()),
        findings=analysis.findings,
        verdicts=verdicts,
        bars=_bars(analysis, [one.endpoint for one in verdicts]),
        percentiles=_percentiles(analysis, [one.endpoint for one in verdicts]),
        culprits=[
            {**row, "place": short_place(row["culprit_file"], row["culprit_line"])}
            for row in worst_culprits(analysis.culprits, MAX_CULPRITS).to_dict("records")
        ],
        timelines=[timeline(analysis, str(request_id)) for request_id in slowest["request_id"]],
        unavailable=unavailable(analysis.requests),
        advice=ADVICE,
        colours=COLOURS,
    )


def _bars(analysis: Analysis, endpoints: list[str]) -> list[dict[str, Any]]:
    """For each endpoint, what its requests consisted of at the median and at the 99th percentile."""
    profiles = {p: percentile_profile(analysis.requests, analysis.causes, p) for p in (50, 99)}
    longest = max(
        (float(rows.groupby("endpoint")["mean_ns"].sum().max()) for rows in profiles.values()), default=1.0
    )
    made = []
    for endpoint in endpoints:
        rows = []
        for percentile, profile in profiles.items():
            own = profile[profile["endpoint"] == endpoint]
            total = float(own["mean_ns"].sum())
            parts = [
                {"cause": str(cause), "ns": float(ns), "width": round(float(ns) / max(total, 1) * 100, 3)}
                for cause, ns in zip(own["cause"], own["mean_ns"], strict=True)
            ]
            rows.append(
                {"name": f"p{percentile}", "ns": total, "parts": parts, "of_longest": total / max(longest, 1)}
            )
        made.append({"endpoint": endpoint, "rows": rows})
    return made


def _percentiles(analysis: Analysis, endpoints: list[str]) -> list[dict[str, Any]]:
    summary = summarize(analysis.causes)
    made = []
    for endpoint in endpoints:
        own = summary[summary["endpoint"] == endpoint]
        made += [
            {
                "endpoint": endpoint if number == 0 else "",
                "span": len(own),
                **{str(key): row[key] for key in row},
            }
            for number, row in enumerate(own.to_dict("records"))
        ]
    return made
