"""Small tables for notebooks: pandas Stylers of whole sentences and ms. Programs use the frames, in ns."""

from collections.abc import Mapping

import pandas as pd
from pandas.io.formats.style import Styler

from whywait.analysis.capacity.utilization import capacity
from whywait.analysis.changes.comparison import Comparison
from whywait.analysis.changes.sentences import headline, reasons
from whywait.analysis.measure.job_times import job_times
from whywait.analysis.model import Analysis
from whywait.analysis.verdicts.capacity_words import named
from whywait.analysis.verdicts.judgement import judge
from whywait.analysis.verdicts.sentences import Verdict, verdict
from whywait.analysis.verdicts.short_answer import answer


def verdicts(analyses: Mapping[str, Analysis]) -> Styler:
    """Return one row per name and endpoint: why its requests were slow, who delayed them, what to change."""
    rows = [
        {
            "run": name,
            "endpoint": one.endpoint,
            "requests": one.judgement.requests,
            "p50 ms": _felt(one, 0),
            "p99 ms": _felt(one, -1),
            "why": one.reasons[0] if one.reasons else answer(one).why,
            "who": _who(one),
            "what to change": one.remedy,
        }
        for name, analysis in analyses.items()
        for one in verdict(analysis)
    ]
    return _readable(pd.DataFrame(rows)).hide(axis="index")


def _felt(one: Verdict, at: int) -> float | str:
    felt, handler = one.judgement.felt_ns, one.judgement.handler_ns
    if handler:
        return f"{felt[at] / 1e6:,.1f} felt by clients, {handler[at] / 1e6:,.1f} in the handler"
    return round(felt[at] / 1e6, 1)


def _who(one: Verdict) -> str:
    told = answer(one)
    return f"{told.who} {told.where}".strip()


def needs(analysis: Analysis) -> Styler:
    """Return one row per process and resource: what each request needs of it, how much is used, what that allows."""
    rows = [
        {
            "process": one.process, "resource": named(use), "ms needed": use.demand_ns / 1e6, "ms held": use.held_ns / 1e6,
            "ms waited": use.wait_ns / 1e6, "used": use.utilization, "served/s": one.served_per_s,
            "allows/s": use.possible_per_s or None, "evidence": str(use.evidence),
            "is the limit": use is one.limit,
        }
        for one in capacity(analysis)
        for use in one.uses
    ]  # fmt: skip
    return _readable(pd.DataFrame(rows)).hide(axis="index")


def behind(analysis: Analysis) -> Styler:
    """Return what those ahead did during each wait behind others, ms per request: the parts sum to the wait."""
    rows = [
        {
            "endpoint": one.endpoint, "wait": str(reason.cause), "ms": reason.mean_ns / 1e6,
            "those ahead": str(part.cause or "unknown"), "their ms": part.ns / 1e6, "evidence": str(part.evidence),
        }
        for one in judge(analysis)
        for reason in one.reasons
        for part in reason.meanwhile
    ]  # fmt: skip
    return _readable(pd.DataFrame(rows)).hide(axis="index")


def timers(analysis: Analysis) -> Styler:
    """Return what timers around each job on the critical path would measure, ms per endpoint: where time went, not
    why."""
    jobs = job_times(analysis)
    names = {"queue_ns": "ms before it began", "run_ns": "ms running", "collect_ns": "ms finished, not collected"}
    table = (
        jobs[jobs["on_path"]].rename(columns=names).groupby("endpoint")[[*names.values()]].agg(["mean", "max"]) / 1e6
    )
    return _readable(table)


def changes(comparison: Comparison) -> Styler:
    """Return one row per endpoint: what changed, why, and what to do."""
    rows = [
        {
            "endpoint": one.endpoint,
            "change": headline(one, comparison.percentile),
            "why": " ".join(reasons(one)),
            "what to change": one.remedy.text if one.remedy else "",
        }
        for one in comparison.changes
    ]
    return _readable(pd.DataFrame(rows)).hide(axis="index")


def _readable(table: pd.DataFrame) -> Styler:
    """Style whole sentences: they wrap, at the top left of their cells. Trace content is escaped."""
    look: list[tuple[str, str | float]] = [
        ("text-align", "left"), ("vertical-align", "top"), ("white-space", "normal"), ("max-width", "26em")
    ]  # fmt: skip
    shown = table.style.format(_cell, escape="html").format_index(_cell, escape="html", axis="index")
    return shown.set_table_styles([{"selector": "th, td", "props": look}], overwrite=False)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}"
    return "".join(letter if letter.isprintable() else " " for letter in str(value))
