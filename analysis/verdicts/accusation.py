"""Says in sentences why the requests of an endpoint took what they took, who held them, and what helps.

The rule of accusation, in one place: a cause is named only where it is at least 5% of the group's wall
time and at least 1 ms per request on average. Computing is no accusation. A group in which nothing
reaches that is told to be fine.
"""

from dataclasses import dataclass, replace
from typing import Final

import pandas as pd

from whywait.analysis.attribution.cpu_rivals import Competition, cpu_competition
from whywait.analysis.causes import INFO, Cause
from whywait.analysis.measure.phase_times import phase_times
from whywait.analysis.measure.summary import summarize
from whywait.analysis.measure.weights import percentiles, weighted, weights_of
from whywait.analysis.model import Analysis
from whywait.analysis.situations.gil_starvation import REMEDY as STARVATION_REMEDY
from whywait.analysis.situations.gil_starvation import starvation
from whywait.analysis.situations.lock_convoy import lock_convoy
from whywait.analysis.situations.serial_collection import serial_collection
from whywait.tracer.schema import POOL_AGE_NS, POOL_FILE, POOL_LINE, POOL_NAME

MIN_SHARE: Final = 0.05
MIN_MEAN_NS: Final = 1_000_000
MANY_JOBS: Final = 4  # jobs of one function per request, from which one batch would serve
UNSURE_SHARE: Final = 0.2  # of unexplained, from which the verdict says that it cannot tell
PHASE_SHARE: Final = 0.1  # of the computing, from which a phase of it is named
PHASE_NS: Final = 100_000  # per request, on average
PHASES_SAID: Final = 3
QUEUE_OF_REQUESTS: Final = (
    "The requests queue for one another: join several into one job (micro-batching), make the job shorter, "
    "or add CPUs and then workers."
)
SUBMIT_LOCK: Final = "concurrent.futures' global lock"
POOL_PER_REQUEST: Final = (
    "Make one pool at start-up and keep it: every submit of every pool takes this one lock, and it is held "
    "while a new thread starts, which takes as long as that thread waits for the GIL."
)


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause that made the requests of a group slow."""

    cause: Cause
    mean_ns: float  # per request
    share: float  # of the group's wall time
    culprit: str  # chief culprit, "" when none is known
    culprit_place: str  # "file:line", ""
    culprit_share: float  # of this cause's time
    other_requests_share: float  # how much of it was held by other requests
    detail: str  # where: the pool, what was awaited, ...
    sentence: str
    remedy: str
    gain_ns: float  # the most a request could gain on average, were this cause gone


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why the requests of one endpoint took what they took."""

    endpoint: str
    requests: int  # an estimate where few traces were kept
    traced: int
    p50_ns: float
    p99_ns: float
    headline: str
    reasons: tuple[Reason, ...]  # longest first; empty when there is nobody to accuse
    situations: tuple[str, ...]  # patterns beyond single waits, each with its evidence
    unexplained_share: float

    @property
    def text(self) -> str:
        """The verdict in a few sentences."""
        parts = [self.headline, *(reason.sentence for reason in self.reasons[:3]), *self.situations]
        if self.reasons:
            first = self.reasons[0]
            parts.append(f"What to change: {first.remedy}")
            parts.append(f"It can gain at most {_ms(first.gain_ns)} per request.")
        return " ".join(parts)


def verdict(analysis: Analysis) -> list[Verdict]:
    """Return one verdict per endpoint, the one that cost its clients most time first."""
    summary = summarize(analysis.causes)
    jobs = _jobs_per_request(analysis)
    orders = serial_collection(analysis)
    phases = phase_times(analysis, Cause.COMPUTE)
    wall = analysis.requests[analysis.requests["request_id"].isin(analysis.causes["request_id"])]
    found = []
    for endpoint, rows in summary.groupby("endpoint", sort=False):
        own = wall[wall["endpoint"] == endpoint].assign(weight=weights_of)
        causes = weighted(analysis.causes[analysis.causes["endpoint"] == endpoint], "amount_ns")
        culprits = weighted(
            analysis.culprits[analysis.culprits["endpoint"] == endpoint],
            "ns",
        )
        found.append(
            (
                float((own["wall_ns"] * own["weight"]).sum()),
                _judge(str(endpoint), own, rows, causes, culprits, jobs, orders, phases, analysis.spans),
            )
        )
    found.sort(key=lambda one: -one[0])
    return [one for _, one in found]


def _judge(
    endpoint: str,
    requests: pd.DataFrame,
    summary: pd.DataFrame,
    causes: pd.DataFrame,
    culprits: pd.DataFrame,
    jobs: pd.DataFrame,
    orders: pd.DataFrame,
    phases: pd.DataFrame,
    spans: pd.DataFrame,
) -> Verdict:
    p50, p99 = percentiles(requests["wall_ns"], requests["weight"], [50, 99])
    count = float(requests["weight"].sum())
    mean_wall_ns = float((requests["wall_ns"] * requests["weight"]).sum()) / count
    shares = dict(zip(summary["cause"], summary["share"], strict=True))
    means = dict(zip(summary["cause"], summary["mean_ns"], strict=True))
    accused = [
        Cause(cause)
        for cause in summary["cause"]
        if Cause(cause).info.is_reason and shares[cause] >= MIN_SHARE and means[cause] >= MIN_MEAN_NS
    ]
    fan_out = max(jobs.loc[jobs["endpoint"] == endpoint, "per_request"], default=0.0)
    reasons = tuple(
        _reason(cause, means[cause], shares[cause], causes, culprits, fan_out) for cause in accused
    )
    unexplained = float(shares.get(Cause.UNEXPLAINED, 0.0))
    unexplained_ns = float(means.get(Cause.UNEXPLAINED, 0.0))
    unsure = unexplained >= UNSURE_SHARE and unexplained_ns >= MIN_MEAN_NS
    computing = float(shares.get(Cause.COMPUTE, 0.0))
    situations = _situations(endpoint, accused, means, causes, jobs)
    situations += _serial_collection(orders[orders["endpoint"] == endpoint], mean_wall_ns)
    starved = starvation(causes, spans) if Cause.GIL_WAIT in accused else ""
    if starved:
        situations = (*situations, starved)
        reasons = tuple(
            replace(one, remedy=STARVATION_REMEDY) if one.cause is Cause.GIL_WAIT else one for one in reasons
        )
    convoy = lock_convoy(causes, spans) if Cause.LOCK_WAIT in accused else ""
    if convoy:
        situations = (*situations, convoy)
    rivals = cpu_competition(causes, culprits, spans) if Cause.CPU_WAIT in accused else None
    if rivals is not None:
        situations = (*situations, *filter(None, (rivals.situation,)))
        reasons = tuple(_with_rivals(one, rivals) if one.cause is Cause.CPU_WAIT else one for one in reasons)
    if unsure:
        situations = (*situations, _doubt(unexplained_ns, unexplained, causes))
    by_phase = _by_phase(endpoint, count, phases)
    own = f"its own computing ({by_phase})" if by_phase else "its own computing"
    traced = len(requests)
    many = (
        f"{traced} requests"
        if round(count) == traced
        else f"about {count:,.0f} requests, {traced} of them traced"
    )
    took = f"{endpoint}: {many}, p50 {_ms(p50)}, p99 {_ms(p99)}."
    if reasons:
        headline = f"{took} On average {computing:.0%} of that was {own}."
    elif unsure:
        headline = f"{took} {computing:.0%} of that was {own}; nobody can be accused."
    else:
        headline = f"{took} Nothing to accuse: no wait reached 5% of its time and 1 ms."
        if by_phase:
            headline += f" Its own computing: {by_phase}."
    return Verdict(
        endpoint, round(count), traced, float(p50), float(p99), headline, reasons, situations, unexplained
    )


def _with_rivals(reason: Reason, rivals: Competition) -> Reason:
    if not rivals.words:
        return reason
    said = f"{reason.sentence.removesuffix('.')}: {rivals.words}."
    return replace(reason, sentence=said, remedy=rivals.remedy)


def _by_phase(endpoint: str, requests: float, phases: pd.DataFrame) -> str:
    """Say in which phases the requests computed, where that is known: "4.1 ms transform, 2.0 ms predict"."""
    own = weighted(phases[phases["endpoint"] == endpoint], "amount_ns")
    means = own.groupby("phase")["amount_ns"].sum().sort_values(ascending=False) / max(requests, 1.0)
    named = means[(means.index != "") & (means >= PHASE_SHARE * means.sum()) & (means >= PHASE_NS)]
    return ", ".join(f"{_ms(float(ns))} {word}" for word, ns in named.head(PHASES_SAID).items())


def _reason(
    cause: Cause, mean_ns: float, share: float, causes: pd.DataFrame, culprits: pd.DataFrame, fan_out: float
) -> Reason:
    own = causes[causes["cause"] == cause]
    total_ns = int(own["amount_ns"].sum())
    by_detail = own.groupby("detail")["amount_ns"].sum()
    detail = str(by_detail.idxmax()) if len(by_detail) else ""
    named = culprits[(culprits["cause"] == cause) & (culprits["culprit"] != "")]
    name, place, part, others = "", "", 0.0, 0.0
    if len(named):
        totals = named.groupby("culprit")["ns"].sum()
        name = str(totals.idxmax())
        chief = named[named["culprit"] == name]
        part = float(totals.max()) / max(total_ns, 1)
        foreign = named[(named["culprit_trace_id"] != "") & (named["culprit_trace_id"] != named["trace_id"])]
        others = float(foreign["ns"].sum()) / max(total_ns, 1)
        place = _place(chief)
    remedy = INFO[cause].remedy
    if cause is Cause.POOL_QUEUE and fan_out < MANY_JOBS:
        remedy = QUEUE_OF_REQUESTS
    if cause is Cause.LOCK_WAIT and SUBMIT_LOCK in detail:
        remedy = POOL_PER_REQUEST
    sentence = _sentence(cause, mean_ns, share, detail, name, place, part, others)
    return Reason(
        cause,
        mean_ns,
        share,
        name,
        place,
        min(part, 1.0),
        min(others, 1.0),
        detail,
        sentence,
        remedy,
        mean_ns,
    )


def _sentence(
    cause: Cause, mean_ns: float, share: float, detail: str, name: str, place: str, part: float, others: float
) -> str:
    said = f"{_ms(mean_ns)} ({share:.0%}) {INFO[cause].phrase}"
    if detail and cause.info.detail_adds:
        said += f", chiefly: {detail}"
    if name and cause.info.says_culprit:
        verb = "held by" if cause.info.can_be_held else "by"
        said += f", {verb} {name}" + (f" ({place})" if place else "")
        if part < 0.995:
            said += f" for {part:.0%} of it"
        if others >= 0.005:
            said += f"; {min(others, 1.0):.0%} of it by other requests"
    return said + "."


def _place(chief: pd.DataFrame) -> str:
    with_file = chief[chief["culprit_file"] != ""]
    if with_file.empty:
        return ""
    first = with_file.sort_values("ns", ascending=False).iloc[0]
    name = "/".join(str(first["culprit_file"]).split("/")[-2:])
    return name if pd.isna(first["culprit_line"]) else f"{name}:{int(first['culprit_line'])}"


def _doubt(mean_ns: float, share: float, causes: pd.DataFrame) -> str:
    own = causes[causes["cause"] == Cause.UNEXPLAINED]
    by_detail = own.groupby("detail")["amount_ns"].sum().sort_values(ascending=False)
    chief = str(by_detail.index[0]) if len(by_detail) else "no signal covers it"
    return f"Cannot tell where {_ms(mean_ns)} ({share:.0%}) went; chiefly: {chief}."


def _situations(
    endpoint: str, accused: list[Cause], means: dict[str, float], causes: pd.DataFrame, jobs: pd.DataFrame
) -> tuple[str, ...]:
    said = []
    own = jobs[jobs["endpoint"] == endpoint]
    if len(own):
        chief = own.sort_values("per_request", ascending=False).iloc[0]
        waits_ns = sum(
            means.get(cause, 0.0) for cause in (Cause.POOL_QUEUE, Cause.CPU_WAIT, Cause.UNEXPLAINED)
        )
        if chief["per_request"] >= MANY_JOBS and waits_ns >= MIN_MEAN_NS:
            said.append(
                f"Each request handed {chief['per_request']:.0f} jobs of {chief['name']} to a pool; "
                "one batch would serve."
            )
        fresh = own[own["fresh_pool_share"] > 0.5]
        if len(fresh):
            where = str(fresh.iloc[0]["pool_place"])
            said.append("A pool was made for each request" + (f" ({where})." if where else "."))
    if Cause.LOOP_BUSY in accused:
        busy = causes[(causes["cause"] == Cause.LOOP_BUSY) & (causes["culprit_trace_id"] != "")]
        blockers, victims = busy["culprit_trace_id"].nunique(), busy["request_id"].nunique()
        if blockers and victims > 2 * blockers:
            said.append(f"{blockers} request(s) blocked the loop for {victims} others.")
    return tuple(said)


def _serial_collection(orders: pd.DataFrame, mean_wall_ns: float) -> tuple[str, ...]:
    worth = orders[orders["gain_ns"] >= max(MIN_MEAN_NS, MIN_SHARE * mean_wall_ns)]
    return tuple(
        f"Results of {job} lay done, {_ms(float(lay_ns))} of them per request in sum, while the thread that "
        "collects them waited for slower ones first; handled as they complete they could save up to "
        f"{_ms(float(gain_ns))}."
        for job, lay_ns, gain_ns in zip(worth["job"], worth["lay_ns"], worth["gain_ns"], strict=True)
    )


def _jobs_per_request(analysis: Analysis) -> pd.DataFrame:
    """One row per endpoint and job name: jobs per request, and how many ran in a pool younger than it."""
    columns = ["endpoint", "name", "per_request", "fresh_pool_share", "pool_place"]
    spans = analysis.spans
    requests = analysis.requests.drop_duplicates("trace_id").set_index("trace_id")
    weight = requests["weight"]
    jobs = spans[spans["name"].str.startswith("job ") & spans["trace_id"].isin(requests.index)]
    if jobs.empty:
        return pd.DataFrame(columns=columns)
    begun = jobs["trace_id"].map(requests["start_ns"])
    age = jobs["attributes"].map(lambda attributes: attributes.get(POOL_AGE_NS))
    table = pd.DataFrame(
        {
            "endpoint": jobs["trace_id"].map(requests["endpoint"]),
            "trace_id": jobs["trace_id"],
            "name": jobs["name"].str.removeprefix("job "),
            "weight": jobs["trace_id"].map(weight),
            # a loop's default executor is made once, by whichever request came first
            "fresh": age.notna()
            & (jobs["start_ns"] - age.fillna(0).astype("int64") >= begun)
            & (jobs["attributes"].map(lambda attributes: attributes.get(POOL_NAME)) != "default executor"),
            "place": jobs["attributes"].map(_pool_place),
        }
    )
    grouped = table.groupby(["endpoint", "name"])
    result = grouped.agg(
        jobs=("weight", "sum"), fresh_pool_share=("fresh", "mean"), pool_place=("place", "first")
    ).reset_index()
    size = analysis.requests.groupby("endpoint")["weight"].sum()
    result["per_request"] = result["jobs"] / result["endpoint"].map(size)
    result.loc[result["fresh_pool_share"] <= 0.5, "pool_place"] = ""
    return result[columns]


def _pool_place(attributes: dict[str, object]) -> str:
    file, line = attributes.get(POOL_FILE), attributes.get(POOL_LINE)
    return f"{'/'.join(str(file).split('/')[-2:])}:{line}" if file else ""


def _ms(ns: float) -> str:
    milliseconds = ns / 1e6
    return (
        f"{milliseconds:,.0f} ms"
        if milliseconds >= 100
        else f"{milliseconds:.2g} ms"
        if milliseconds < 1
        else f"{milliseconds:.1f} ms"
    )
