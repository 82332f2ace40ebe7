"""Judges the requests of each endpoint: causes, culprits, situations and remedies, as numbers. `sentences` has the words.

The rule: a cause is a reason only where it is significant (`thresholds`): at least 5% of the group's wall
time and at least 1 ms per request on average. Unexplained time is no reason, and computing only where 10% of the
wall time has the name of a function.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import pandas as pd

from whywait.analysis.attribution.cause_of_segment import SHARED
from whywait.analysis.causes import CAUSES, Cause, Evidence
from whywait.analysis.grouped import sums
from whywait.analysis.load.files import no_collection
from whywait.analysis.measure.felt import both_percentiles, differ
from whywait.analysis.measure.percentile_composition import composition, rank_and_band, sample_of
from whywait.analysis.measure.phase_times import phase_times
from whywait.analysis.measure.summary import summarize
from whywait.analysis.measure.weights import weighted, weights_of
from whywait.analysis.model import NO_ARRIVAL, Analysis, attribute, identities
from whywait.analysis.situations.answers import answers, messages_in_turn, never_ended
from whywait.analysis.situations.cold_start import cold_start
from whywait.analysis.situations.holders.behind import behind, deadlocks, wait_cycles
from whywait.analysis.situations.holders.chain import Meanwhile, meanwhile
from whywait.analysis.situations.holders.connections_held import connections_held, holds_one
from whywait.analysis.situations.holders.holders import DOES_ITSELF, Holders, most_place, stood_in
from whywait.analysis.situations.holders.what_holders_did import FOLLOWED, what_holders_did
from whywait.analysis.situations.large_transfers import large_transfers
from whywait.analysis.situations.lock_convoy import lock_convoy
from whywait.analysis.situations.pool_use import pool_situations, pool_use, sensitive_threads, thread_hops
from whywait.analysis.situations.running.asked_to_collect import asked_to_collect
from whywait.analysis.situations.running.computing import STOPPED, computing, is_named, spins
from whywait.analysis.situations.running.cpu_competition import cpu_competition
from whywait.analysis.situations.running.gil_starvation import gil_held, gil_starvation
from whywait.analysis.situations.running.loop_blocked import loop_blocked, loop_turns
from whywait.analysis.situations.running.own_work import own_work
from whywait.analysis.situations.running.timers import timers
from whywait.analysis.situations.serial_collection import collected_serially, serial_collection
from whywait.analysis.situations.situation import Detector, Group, Pattern, Situation
from whywait.analysis.situations.thresholds import (
    MIN_HELD,
    MIN_MEAN_NS,
    TAIL,
    TAIL_AMONG,
    TAIL_NS,
    TAIL_SHARE,
    significant,
)
from whywait.analysis.situations.unexplained import unexplained
from whywait.analysis.situations.waits.callers import callers
from whywait.analysis.situations.waits.calls_and_limits import (
    awaited_answers,
    blocking_calls,
    by_tasks,
    by_threads,
    consumers,
    jobs_on_the_loop,
    locks_on_the_loop,
    signals,
    slow_readers,
)
from whywait.analysis.situations.waits.connecting import connecting
from whywait.analysis.situations.waits.inner_limit import inner_limit
from whywait.analysis.situations.waits.limits import limits_in_vain, rate_limits, time_limits, windows
from whywait.analysis.situations.waits.repeated_waits import repeated_waits
from whywait.analysis.situations.waits.stampede import stampedes
from whywait.analysis.situations.waits.stragglers import stragglers
from whywait.analysis.situations.waits.who_answers import asks_itself, rows_held, served_in_turn
from whywait.analysis.spans.by_trace import ByTrace
from whywait.analysis.spans.held_loop import held_loop, loop_blocks, without_waits
from whywait.analysis.text import in_brackets, place
from whywait.analysis.verdicts.remedies import Remedy, remedy
from whywait.tracer import schema

PHASE_SHARE: Final = 0.1  # of the computing, from which a phase of it is named
PHASE_NS: Final = 100_000  # per request, on average
MOST_PHASES: Final = 3
_IN_SPANS: Final = (
    *FOLLOWED,
    Cause.GIL_WAIT,
    Cause.CPU_WAIT,
    Cause.BLOCKING_IO,
    Cause.AWAIT_IO,
    Cause.COMPUTE,
    Cause.GC_PAUSE,
    Cause.REQUEST_IO,
    Cause.POOL_STARTUP,
)  # whose spans' attributes are asked
_STANDS_IN: Final = (Cause.POOL_QUEUE, Cause.LIMITER_WAIT, Cause.LOCK_WAIT)
_MAY_BE_REASONS: Final = tuple(cause for cause in CAUSES if cause.info.is_reason)
# of several situations that have a remedy for one cause, the first one's is told
DETECTORS: Final[tuple[Detector, ...]] = (
    holds_one, asks_itself, deadlocks, wait_cycles, cold_start, stampedes, connecting, consumers, inner_limit, stragglers, lock_convoy, locks_on_the_loop, jobs_on_the_loop, connections_held, large_transfers, sensitive_threads, signals, served_in_turn, rows_held, thread_hops, rate_limits, time_limits, limits_in_vain, windows, loop_turns, behind, by_threads, pool_situations, callers, repeated_waits, by_tasks, blocking_calls, slow_readers, awaited_answers, spins, computing,
    asked_to_collect,
    loop_blocked, collected_serially, gil_starvation, gil_held, timers, cpu_competition, answers, messages_in_turn, never_ended, own_work, unexplained,
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
    meanwhile: tuple[Meanwhile, ...] = ()  # what those ahead did, at the end of the chain; sums to mean_ns
    detail_share: float = 1.0  # of this cause's time
    other_endpoint: str = ""  # of the requests that were ahead for most of it, where it is not their own


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why the requests of one endpoint took the time they took."""

    endpoint: str
    requests: int  # an estimate where tail sampling dropped requests
    traced: int
    p50_ns: int  # felt by clients
    p95_ns: int
    p99_ns: int
    in_handler_ns: tuple[int, ...]  # the same PERCENTILES in the handler
    compute_share: float
    unexplained_share: float
    phases: tuple[tuple[str, float], ...]  # of its computing, and ns per request, longest first
    reasons: tuple[Reason, ...]  # longest first; empty when nothing is significant
    situations: tuple[Pattern, ...]

    @property
    def felt_ns(self) -> tuple[int, ...]:
        """The PERCENTILES that clients felt."""
        return self.p50_ns, self.p95_ns, self.p99_ns

    @property
    def handler_ns(self) -> tuple[int, ...]:
        """The PERCENTILES in the handler, where any of them is another time; else ()."""
        return self.in_handler_ns if any(map(differ, self.felt_ns, self.in_handler_ns)) else ()


@no_collection()
def judge(analysis: Analysis) -> list[Judgement]:
    """Return one judgement per endpoint, the endpoint that cost its clients most time first."""
    phases = phase_times(analysis, Cause.COMPUTE)
    groups = sorted(_groups(analysis), key=lambda one: -one.mean_wall_ns * one.count)
    return [_judged(one, phases[phases["endpoint"] == one.endpoint]) for one in groups]


def _groups(analysis: Analysis) -> list[Group]:
    summary = summarize(analysis.causes)
    causes, culprits = weighted(analysis.causes, "amount_ns"), weighted(analysis.culprits, "ns")
    by_other = culprits["culprit_trace_id"].ne("") & culprits["culprit_trace_id"].ne(culprits["trace_id"])
    for_all = culprits["culprit_trace_id"].isin(_of_no_request(analysis.spans)) & culprits["cause"].isin(DOES_ITSELF)
    endpoints = dict(zip(analysis.analysed["trace_id"], analysis.analysed["endpoint"], strict=True))
    culprits = culprits.assign(by_other=by_other & ~for_all, of=culprits["culprit_trace_id"].map(endpoints).fillna(""))
    tables = (analysis.analysed, causes, culprits, pool_use(analysis), serial_collection(analysis))
    by_endpoint = [(table[:0], dict(iter(table.groupby("endpoint", sort=False)))) for table in tables]
    stopped = dict(iter(culprits[culprits["cause"].isin(STOPPED)].groupby(["culprit", "culprit_file"], sort=False)))
    holders, spans = Holders(what_holders_did(analysis)), ByTrace(analysis.spans)
    attributes = _attributes(analysis, holders.all)
    ours = culprits[culprits["culprit"] == schema.OWN_WORK].groupby(["endpoint", "cause"])["ns"].sum().to_dict()
    blocks = without_waits(loop_blocks(analysis.spans))
    blocks = blocks[blocks["ns"] >= MIN_MEAN_NS]
    made = []
    for name, rows in summary.groupby("endpoint", sort=False):
        own, rows_of, named, jobs, orders = (found.get(name, nothing) for nothing, found in by_endpoint)
        weights = weights_of(own)
        count = float(weights.sum())
        means, shares = (_by_cause(rows, column) for column in ("mean_ns", "share"))
        mean_wall_ns = float((own["wall_ns"] * weights).sum()) / count
        others_ns = {one: ns - ours.get((name, one), 0) / count for one, ns in means.items()}
        reasons = _reasons(others_ns, mean_wall_ns, computes=is_named(named, rows_of, attributes, count, mean_wall_ns))
        behind_others = {one: meanwhile(holders, str(name), one, round(means[one])) for one in reasons}
        # those of requests are in the waits of whoever met them, where it is known when that arrived
        unseen = any(NO_ARRIVAL in signals for signals in own["signals"])
        held = blocks[~blocks["of_request"] | (unseen & (blocks["ns"] > max(mean_wall_ns, MIN_MEAN_NS)))]
        held = held_loop(held, tables[0][tables[0]["service"].isin(own["service"].unique())])
        made.append(
            Group(
                str(name), own, count, mean_wall_ns, means, shares, reasons, rows_of, named, stopped, jobs, orders,
                holders, spans, behind_others, held, attributes,
            )
        )  # fmt: skip
    return made


def _of_no_request(spans: pd.DataFrame) -> set[str]:
    """The traces of work such as a batch's, which is done for those who wait for it."""
    is_root = (attribute(spans, schema.KIND) == schema.KIND_PHASE) & (spans["parent_id"] == "")
    return set(spans.loc[is_root, "trace_id"])


def _reasons(means: dict[Cause, float], wall_ns: float, *, computes: bool) -> tuple[Cause, ...]:
    computing = Cause.COMPUTE if computes else None
    return tuple(one for one, ns in means.items() if one is computing or significant(one, ns, ns / max(wall_ns, 1.0)))


def _by_cause(rows: pd.DataFrame, column: str) -> dict[Cause, float]:
    return {Cause(cause): float(value) for cause, value in zip(rows["cause"], rows[column], strict=True)}


def _attributes(analysis: Analysis, holders: pd.DataFrame) -> dict[str, dict[str, Any]]:
    asked = analysis.causes.loc[analysis.causes["cause"].isin(_IN_SPANS), ["span_id", "activity_id"]]
    wanted = {*asked["span_id"].tolist(), *asked["activity_id"].tolist(), *holders["at"].tolist()}
    ids = identities(analysis.spans)
    chosen = ids.isin(wanted)
    return dict(zip(ids[chosen], analysis.spans.loc[chosen, "attributes"], strict=True))


def _judged(group: Group, phases: pd.DataFrame) -> Judgement:
    situations = _found(group)
    (p50, p95, p99), in_handler = both_percentiles(group.requests)
    return Judgement(
        endpoint=group.endpoint,
        requests=round(group.count),
        traced=len(group.requests),
        p50_ns=p50,
        p95_ns=p95,
        p99_ns=p99,
        in_handler_ns=in_handler,
        compute_share=group.shares.get(Cause.COMPUTE, 0.0),
        unexplained_share=group.shares.get(Cause.UNEXPLAINED, 0.0),
        phases=_phases(phases, group.count),
        reasons=tuple(_reason(group, cause, situations) for cause in group.significant),
        situations=(*situations, *_slowest(group)),
    )


def _slowest(group: Group) -> Iterator[Pattern]:
    """The chief cause of the TAIL percentile, where that is a reason there, and not the chief one of the mean."""
    if len(group.requests) < TAIL_AMONG:
        return
    sample = sample_of(group.requests, group.causes.assign(amount_ns=group.causes["end_ns"] - group.causes["start_ns"]))
    rank, band = rank_and_band(sample.weights, TAIL)
    wall_ns, parts = int(sample.walls[rank]), dict(zip(CAUSES, composition(sample, TAIL), strict=True))
    chief = max(_MAY_BE_REASONS, key=parts.__getitem__)
    share = parts[chief] / wall_ns
    slow = sample.amounts[:, CAUSES.index(chief)] >= TAIL_SHARE * sample.walls
    of_few = band[slow].sum() < band.sum() / 2
    if of_few or chief in group.significant[:1] or share < TAIL_SHARE or parts[chief] < TAIL_NS:
        return
    requests, causes, culprits = (
        table[table["request_id"].isin(sample.request_ids[band > 0])]
        for table in (group.requests, group.causes, group.culprits)
    )
    tail = replace(
        group, requests=requests, count=float(weights_of(requests).sum()), mean_wall_ns=float(wall_ns),
        means={cause: float(ns) for cause, ns in parts.items()}, shares={chief: share}, significant=(chief,),
        causes=causes, culprits=culprits,
        meanwhile={chief: meanwhile(group.holders, group.endpoint, chief, parts[chief])},
    )  # fmt: skip
    yield _of_the_slowest(_reason(tail, chief, _found(tail)), wall_ns, parts[chief])


def _of_the_slowest(why: Reason, wall_ns: int, ns: int) -> Pattern:
    who = f", {why.cause.info.by} {why.culprit}{in_brackets(place(why.culprit_file, why.culprit_line))}"
    who *= bool(why.culprit) and why.cause.info.says_culprit
    found = {"wall_ns": wall_ns, "ns": ns, "detail": why.detail, "who": who, "remedy": why.remedy.text}
    return Pattern(Situation.SLOWEST_DIFFER, why.cause, found)


def _found(group: Group) -> tuple[Pattern, ...]:
    return tuple(found for detect in DETECTORS for found in detect(group))


def _phases(phases: pd.DataFrame, requests: float) -> tuple[tuple[str, float], ...]:
    found = weighted(phases, "amount_ns")
    by_phase = sums(found["phase"], found["amount_ns"])
    means = {str(name): float(ns) / max(requests, 1.0) for name, ns in by_phase.items()}
    least_ns = max(PHASE_SHARE * sum(means.values()), PHASE_NS)
    named = [one for one in means.items() if one[0] and one[1] >= least_ns]
    return tuple(sorted(named, key=lambda one: -one[1])[:MOST_PHASES])


def _reason(group: Group, cause: Cause, situations: tuple[Pattern, ...]) -> Reason:
    own = group.of(cause)
    total_ns = max(int(own["amount_ns"].sum()), 1)
    by_detail, by_evidence = (sums(own[key], own["amount_ns"]) for key in ("detail", "evidence"))
    places = [str(detail).removeprefix(f"{SHARED}: ") for detail in by_detail]
    by_place = sums(places, by_detail.values())
    place_ns = max(by_place.values())
    details = [detail for detail, at in zip(by_detail, places, strict=True) if by_place[at] == place_ns]
    named = group.culprits_of(cause)
    named = named[named["culprit"] != ""]
    name, file, line, part, others, of = "", "", None, 0.0, 0.0, ""
    if len(named):
        totals = sums(named["culprit"], named["ns"])
        name, part = max(totals, key=totals.__getitem__), float(max(totals.values())) / total_ns
        file, line = most_place(named[named["culprit"] == name], "culprit")
        others = float(named.loc[named["by_other"], "ns"].sum()) / total_ns
        of_others = named[named["by_other"]]
        by_endpoint = sums(of_others["of"], of_others["ns"])
        of = max(by_endpoint, key=by_endpoint.__getitem__, default="")
        if of == group.endpoint or not of or by_endpoint[of] < MIN_HELD * total_ns:
            of = ""
    if cause in _STANDS_IN and (stood := stood_in(group.behind(cause))):
        name, file, line = stood
    return Reason(
        cause, group.means[cause], group.shares[cause], Evidence(max(by_evidence, key=by_evidence.__getitem__)), max(details, key=by_detail.__getitem__), name, file,
        line, min(part, 1.0), min(others, 1.0), remedy(cause, situations),
        group.meanwhile[cause], float(place_ns) / total_ns, of,
    )  # fmt: skip
