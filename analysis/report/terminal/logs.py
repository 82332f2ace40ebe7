"""The result of `whywait logs` in a terminal."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Table
from rich.text import Text

from whywait.analysis.logs.model import BETWEEN, NAMED, SINCE, LoggedRequest, LogReading, Silence
from whywait.analysis.logs.totals import UNTIMED, own_sums, totals
from whywait.analysis.logs.unknown import unknowable
from whywait.analysis.text import counted, milliseconds, safe

_SAYS = {
    NAMED: "timed, by name",
    SINCE: "timed, since the marker before",
    BETWEEN: "between two timers",
    UNTIMED: "only in the stated total",
}
_LEAST_SHARE = 0.005


def render_logs(reading: LogReading, console: Console, *, top: int = 1) -> None:
    """Print findings, the stretches of all requests where there are several, and the `top` slowest ones."""
    for finding in reading.findings:
        console.print(Text(f"note: {safe(finding.message)} ({counted(finding.count, 'time')})", style="yellow"))
    if len(reading.requests) > 1:
        console.print(all_table(reading))
    slowest = sorted(reading.requests, key=lambda one: -one.wall_ns)[:top]
    for request in slowest:
        _render_request(request, console)
    console.print(
        Text("\nTo know why: whywait run -- COMMAND records what each request waited for, and who ended the wait.",
             style="green")
    )  # fmt: skip


def all_table(reading: LogReading) -> Table:
    """One row per label over all requests; the last row sums the negligible ones."""
    table = Table(title=f"Where the time of {counted(len(reading.requests), 'request')} was logged")
    _columns(table, ("requests", "p50 ms", "p95 ms", "max ms", "of all time"))
    rows = totals(reading.requests)
    for row in rows:
        if row.share >= _LEAST_SHARE:
            table.add_row(
                Text(safe(row.label)), _SAYS[row.kind], f"{row.requests:,}", milliseconds(row.p50_ns),
                milliseconds(row.p95_ns), milliseconds(row.max_ns), f"{row.share:.1%}",
            )  # fmt: skip
    rest = [row for row in rows if row.share < _LEAST_SHARE]
    if rest:
        table.add_row(f"({len(rest)} more)", "", "", "", "", "", f"{sum(row.share for row in rest):.1%}")
    return table


def _columns(table: Table, numbers: tuple[str, ...]) -> None:
    table.add_column("stretch", overflow="fold")
    table.add_column("what the log says", no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)


def _render_request(request: LoggedRequest, console: Console) -> None:
    stated = ""
    if request.stated_ns is not None:
        stated = f"{milliseconds(request.stated_ns)} ms stated, "
    console.print(
        Text(
            f"\nRequest {safe(request.request, 80)}: {stated}{milliseconds(request.clocked_ns)} ms between its first "
            "and its last marker",
            style="bold",
        )
    )
    table = Table()
    _columns(table, ("ms", "share"))
    for (label, kind), ns in own_sums(request).items():
        table.add_row(Text(safe(label)), _SAYS[kind], milliseconds(ns), f"{ns / max(request.wall_ns, 1):.1%}")
    console.print(table)
    if request.silences:
        console.print("The longest times without a line of this request:")
        for one in request.silences[:3]:
            console.print(Text(_silence(one)))
    console.print("What this log cannot tell:")
    for sentence in unknowable(request):
        console.print(Text(f"  {sentence}"))


def _silence(one: Silence) -> str:
    within = f" (in {safe(one.within, 60)})" if one.within else ""
    return (
        f"  {milliseconds(one.ns)} ms{within}, {_clock(one.start_ns)} to {_clock(one.end_ns)}, "
        f"lines {one.before_line:,} to {one.after_line:,}:\n"
        f"    {safe(one.before, 100)}\n    {safe(one.after, 100)}"
    )


def _clock(ns: int) -> str:
    at = datetime.fromtimestamp(ns // 10**9, UTC)
    return f"{at:%H:%M:%S}.{ns % 10**9 // 10**6:03}"
