"""The result of `whywait logs` in a terminal."""

from datetime import UTC, datetime

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from whywait.analysis.logs.model import BETWEEN, NAMED, SINCE, LoggedRequest, LogReading, Silence
from whywait.analysis.logs.totals import UNTIMED, own_sums, totals, unknowable
from whywait.analysis.report.terminal.parts import folded, notes, number
from whywait.analysis.text import amount, counted, milliseconds, safe

_SAYS = {
    NAMED: "timed, by name",
    SINCE: "timed, since the marker before",
    BETWEEN: "between two timers",
    UNTIMED: "only in the stated total",
}
_LEAST_SHARE = 0.005


def render_logs(reading: LogReading, console: Console, *, top: int = 1) -> None:
    """Print findings, the stretches of all requests where there are several, and the `top` slowest ones."""
    for note in notes(reading.findings):
        console.print(note)
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
    table = _table("requests", "p50 ms", "p95 ms", "max ms", "of all time")
    table.title = f"Where the time of {counted(len(reading.requests), 'request')} was logged"
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


def _table(*numbers: str) -> Table:
    return Table(folded("stretch"), Column("what the log says", no_wrap=True), *map(number, numbers))


def _render_request(request: LoggedRequest, console: Console) -> None:
    stated = "" if request.stated_ns is None else f"{amount(request.stated_ns)} stated, "
    clocked = f"{amount(request.clocked_ns)} between its first and its last marker"
    console.print(Text(f"\nRequest {safe(request.request, 80)}: {stated}{clocked}", style="bold"))
    table = _table("ms", "share")
    for (label, kind), ns in own_sums(request).items():
        table.add_row(Text(safe(label)), _SAYS[kind], milliseconds(ns), f"{ns / max(request.wall_ns, 1):.1%}")
    console.print(table)
    if request.silences:
        console.print("The longest times without a line of this request:")
        console.print(Text("\n".join(map(_silence, request.silences[:3]))))
    console.print("What this log cannot tell:")
    console.print(Text("\n".join(f"  {sentence}" for sentence in unknowable(request))))


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
