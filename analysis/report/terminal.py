"""The report in a terminal."""

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from analysis.causes import Cause
from analysis.model import Analysis
from analysis.report.observed import unavailable
from analysis.report.safe_text import milliseconds, safe, short_place
from analysis.summary import summarize, worst_culprits
from analysis.verdicts import Verdict, verdict
from analysis.weights import percentiles

TOP_CAUSES = 3


def render(analysis: Analysis, console: Console, *, top: int = 5) -> None:
    """Prints findings, a table of endpoints, the verdicts, culprits and the `top` slowest requests."""
    verdicts = verdict(analysis)
    for finding in analysis.findings:
        console.print(Text(f"note: {safe(finding.message)} ({finding.count} times)", style="yellow"))
    console.print(endpoint_table(analysis, verdicts))
    for one in verdicts:
        console.print(verdict_text(one))
    culprits = culprit_table(analysis, top)
    if culprits is not None:
        console.print(culprits)
    console.print(slowest_table(analysis, top))
    console.print(
        Text("Could not be observed: " + "; ".join(unavailable(analysis.requests)) + ".", style="dim")
    )


def endpoint_table(analysis: Analysis, verdicts: list[Verdict]) -> Table:
    """One row per endpoint: how many, how long, and the chief causes."""
    summary = summarize(analysis.causes)
    table = Table(title="Where the time of each endpoint's requests went (mean per request)")
    table.add_column("endpoint", overflow="fold")
    for name in ("requests", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(f"top {TOP_CAUSES} causes: ms, share")
    table.add_column("unexplained", justify="right", no_wrap=True)
    analysed = analysis.requests[analysis.requests["request_id"].isin(analysis.causes["request_id"])]
    for one in verdicts:
        own = analysed[analysed["endpoint"] == one.endpoint]
        walls = percentiles(own["wall_ns"], own["weight"], [50, 95, 99])
        rows = summary[summary["endpoint"] == one.endpoint]
        named = rows[rows["cause"] != Cause.UNEXPLAINED].head(TOP_CAUSES)
        unknown = rows[rows["cause"] == Cause.UNEXPLAINED]["mean_ns"].sum()
        table.add_row(
            Text(safe(one.endpoint)),
            str(one.requests) if one.requests == one.traced else f"{one.requests} ({one.traced} traced)",
            *(milliseconds(float(wall)) for wall in walls),
            ", ".join(
                f"{cause} {milliseconds(mean)} {share:.0%}"
                for cause, mean, share in zip(named["cause"], named["mean_ns"], named["share"], strict=True)
            ),
            f"{milliseconds(unknown)}, {one.unexplained_share:.0%}",
        )
    return table


def verdict_text(one: Verdict) -> Padding:
    """A verdict as a paragraph: headline, reasons, situations, what to change."""
    lines = [Text(safe(one.headline, 1000), style="bold")]
    lines += [Text(f"  {safe(reason.sentence, 1000)}") for reason in one.reasons]
    lines += [Text(f"  {safe(said, 1000)}") for said in one.situations]
    if one.reasons:
        first = one.reasons[0]
        lines.append(Text(f"  What to change: {first.remedy}", style="green"))
        lines.append(
            Text(f"  It can gain at most {milliseconds(first.gain_ns)} ms per request.", style="green")
        )
    return Padding(Group(*lines), (1, 0, 0, 0))


def culprit_table(analysis: Analysis, top: int) -> Table | None:
    """Who delayed whom; None when nobody did."""
    worst = worst_culprits(analysis.culprits, top)
    if worst.empty:
        return None
    table = Table(title="Who held them")
    for name in ("culprit", "where"):
        table.add_column(name, overflow="fold")
    table.add_column("cause", no_wrap=True)
    for name in ("requests held", "ms in all"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in worst.to_dict("records"):
        table.add_row(
            Text(safe(row["culprit"])),
            Text(safe(short_place(str(row["culprit_file"]), row["culprit_line"]))),
            str(row["cause"]),
            str(row["victims"]),
            milliseconds(float(row["ns"])),
        )
    return table


def slowest_table(analysis: Analysis, top: int) -> Table:
    """The slowest requests with their trace ids."""
    table = Table(title="The slowest requests")
    table.add_column("trace", no_wrap=True)
    table.add_column("endpoint", overflow="fold")
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("chief causes: ms", overflow="fold")
    slowest = analysis.requests.sort_values("wall_ns", ascending=False).head(top)
    for row in slowest.to_dict("records"):
        own = analysis.causes[analysis.causes["request_id"] == row["request_id"]]
        sums = own.groupby("cause")["amount_ns"].sum().sort_values(ascending=False).head(TOP_CAUSES)
        told = ", ".join(f"{cause} {milliseconds(ns)}" for cause, ns in sums.items()) or "not analysed"
        table.add_row(
            Text(safe(row["trace_id"])),
            Text(safe(row["endpoint"])),
            milliseconds(float(row["wall_ns"])),
            told,
        )
    return table
