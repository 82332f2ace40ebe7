"""Judges the requests of each endpoint: causes, culprits, situations and remedies, as numbers. `sentences` has the words.

The rule: a cause is a reason only where it is significant (`thresholds`): at least 5% of the group's wall
time and at least 1 ms per request on average. Computing and unexplained time are no reasons.
"""

from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from whywait.analysis.causes import Cause, Evidence
from whywait.analysis.measure.phase_times import phase_times
from whywait.analysis.measure.summary import summarize
from whywait.analysis.measure.weights import percentiles, weighted, weights_of
from whywait.analysis.model import Analysis, identities
from whywait.analysis.situations.connections_held import connections_held
from whywait.analysis.situations.cpu_competition import cpu_competition
from whywait.analysis.situations.gil_starvation import gil_starvation
from whywait.analysis.situations.lock_convoy import lock_convoy
from whywait.analysis.situations.loop_blocked import loop_blocked
from whywait.analysis.situations.pool_use import pool_situations, pool_use
from whywait.analysis.situations.serial_collection import collected_serially, serial_collection
from whywait.analysis.situations.situation import Detector, Found, Group
from whywait.analysis.situations.thresholds import significant
from whywait.analysis.situations.unexplained import unexplained
from whywait.analysis.verdicts.remedies import Remedy, remedy

PERCENTILES: Final = (50, 95, 99)
PHASE_SHARE: Final = 0.1  # of the computing, from which a phase of it is named
PHASE_NS: Final = 100_000  # per request, on average
MOST_PHASES: Final = 3
_IN_SPANS: Final = (
    Cause.GIL_WAIT,
    Cause.LOCK_WAIT,
    Cause.CONNECTION_WAIT,
)  # whose situations are found in their spans' attributes
DETECTORS: Final[tuple[Detector, ...]] = (
    pool_situations, loop_blocked, collected_serially, gil_starvation, lock_convoy, connections_held, cpu_competition, unexplained,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause that made the requests of a group slow."""

    cause: Cause
    mean_ns: float  # per request
    share: float  # of the group's wall time
    evidence: Evidence  # of most of it
    detail: str  # where: the pool, what was awaited, ...
    culprit: str  # chief culprit, "" when none is known
    culprit_file: str
    culprit_line: int | None
    culprit_share: float  # of this cause's time
    other_requests_share: float  # how much of it was due to other requests
    remedy: Remedy


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why the requests of one endpoint took the time they took."""

    endpoint: str
    requests: int  # an estimate where tail sampling dropped requests
    traced: int
    p50_ns: int
    p95_ns: int
    p99_ns: int
    compute_share: float
    unexplained_share: float
    phases: tuple[tuple[str, float], ...]  # of its computing, and ns per request, longest first
    reasons: tuple[Reason, ...]  # longest first; empty when nothing is significant
    situations: tuple[Found, ...]


def judge(analysis: Analysis) -> list[Judgement]:
    """Return one judgement per endpoint, the endpoint that cost its clients most time first."""
    phases = phase_times(analysis, Cause.COMPUTE)
    groups = sorted(_groups(analysis), key=lambda one: -one.mean_wall_ns * one.count)
    return [_judged(one, phases[phases["endpoint"] == one.endpoint]) for one in groups]


def _groups(analysis: Analysis) -> list[Group]:
    summary = summarize(analysis.causes)
    causes, culprits = weighted(analysis.causes, "amount_ns"), weighted(analysis.culprits, "ns")
    analysed, jobs, orders = analysis.analysed, pool_use(analysis), serial_collection(analysis)
    attributes = _attributes(analysis)
    made = []
    for name, rows in summary.groupby("endpoint", sort=False):
        own = analysed[analysed["endpoint"] == name]
        weights = weights_of(own)
        count = float(weights.sum())
        means, shares = (
            {Cause(cause): float(value) for cause, value in zip(rows["cause"], rows[column], strict=True)}
            for column in ("mean_ns", "share")
        )
        made.append(
            Group(
                str(name), own, count, float((own["wall_ns"] * weights).sum()) / count, means, shares,
                tuple(one for one in means if significant(one, means[one], shares[one])),
                causes[causes["endpoint"] == name], culprits[culprits["endpoint"] == name],
                jobs[jobs["endpoint"] == name], orders[orders["endpoint"] == name], analysis.spans, attributes,
            )
        )  # fmt: skip
    return made


def _attributes(analysis: Analysis) -> dict[str, dict[str, Any]]:
    asked = analysis.causes.loc[analysis.causes["cause"].isin(_IN_SPANS), "span_id"]
    ids = identities(analysis.spans)
    wanted = ids.isin(asked)
    return dict(zip(ids[wanted], analysis.spans.loc[wanted, "attributes"], strict=True))


def _judged(group: Group, phases: pd.DataFrame) -> Judgement:
    situations = tuple(found for detect in DETECTORS for found in detect(group))
    p50, p95, p99 = percentiles(group.requests["wall_ns"], weights_of(group.requests), PERCENTILES)
    return Judgement(
        endpoint=group.endpoint,
        requests=round(group.count),
        traced=len(group.requests),
        p50_ns=int(p50),
        p95_ns=int(p95),
        p99_ns=int(p99),
        compute_share=group.shares.get(Cause.COMPUTE, 0.0),
        unexplained_share=group.shares.get(Cause.UNEXPLAINED, 0.0),
        phases=_phases(phases, group.count),
        reasons=tuple(_reason(group, cause, situations) for cause in group.significant),
        situations=situations,
    )


def _phases(phases: pd.DataFrame, requests: float) -> tuple[tuple[str, float], ...]:
    sums = weighted(phases, "amount_ns").groupby("phase")["amount_ns"].sum()
    means = sums.sort_values(ascending=False) / max(requests, 1.0)
    named = means[(means.index != "") & (means >= PHASE_SHARE * means.sum()) & (means >= PHASE_NS)]
    return tuple((str(name), float(ns)) for name, ns in named.head(MOST_PHASES).items())


def _reason(group: Group, cause: Cause, situations: tuple[Found, ...]) -> Reason:
    own = group.of(cause)
    total_ns = max(int(own["amount_ns"].sum()), 1)
    detail, evidence = (str(own.groupby(key)["amount_ns"].sum().idxmax()) for key in ("detail", "evidence"))
    named = group.culprits[(group.culprits["cause"] == cause) & (group.culprits["culprit"] != "")]
    name, file, line, part, others = "", "", None, 0.0, 0.0
    if len(named):
        totals = named.groupby("culprit")["ns"].sum()
        name, part = str(totals.idxmax()), float(totals.max()) / total_ns
        file, line = _place(named[named["culprit"] == name])
        foreign = named[(named["culprit_trace_id"] != "") & (named["culprit_trace_id"] != named["trace_id"])]
        others = float(foreign["ns"].sum()) / total_ns
    return Reason(
        cause, group.means[cause], group.shares[cause], Evidence(evidence), detail, name, file, line,
        min(part, 1.0), min(others, 1.0), remedy(cause, situations),
    )  # fmt: skip


def _place(chief: pd.DataFrame) -> tuple[str, int | None]:
    with_file = chief[chief["culprit_file"] != ""]
    if with_file.empty:
        return "", None
    first = with_file.sort_values("ns", ascending=False).iloc[0]
    return str(first["culprit_file"]), None if pd.isna(first["culprit_line"]) else int(first["culprit_line"])
