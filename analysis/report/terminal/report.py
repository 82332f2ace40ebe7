"""The report in a terminal."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from whywait.analysis.causes import Cause
from whywait.analysis.measure.felt import in_handler
from whywait.analysis.measure.summary import summarize, worst_culprits
from whywait.analysis.model import Analysis
from whywait.analysis.report.terminal.links import linked_in
from whywait.analysis.report.terminal.parts import folded, notes, number
from whywait.analysis.report.told import Told, told_of
from whywait.analysis.text import counted, in_brackets, milliseconds, place, safe
from whywait.analysis.verdicts.capacity_words import sentences
from whywait.analysis.verdicts.not_observed import not_observed
from whywait.analysis.verdicts.sentences import Verdict

TOP_CAUSES = 3
_NARROW = 100  # columns: in a narrower table the names of causes would wrap
_WHERE = "Where the time of each endpoint's requests went (mean per request)"

Linked = Callable[[Text], Text]


def render(analysis: Analysis, console: Console, *, top: int = 5, told: Told | None = None) -> None:
    """Print findings, the verdicts, a table of endpoints, the culprits and the `top` slowest requests. `told`:
    `told_of(analysis)`, where it is known."""
    verdicts, processes, _ = told or told_of(analysis)
    narrow, linked = console.width < _NARROW, linked_in(console, analysis)
    for note in notes(analysis.findings):
        console.print(note)
    for said in sentences(processes):
        console.print(Text(safe(said, 1000), style="bold"))
    for one in verdicts:
        console.print(verdict_text(one, linked))
    console.print()
    console.print(endpoint_lines(analysis, verdicts) if narrow else endpoint_table(analysis, verdicts))
    if culprits := list(_culprits(analysis, top, linked)):
        console.print(culprit_lines(culprits) if narrow else culprit_table(culprits))
    console.print(slowest_lines(analysis, top) if narrow else slowest_table(analysis, top))
    console.print(Text(_observed(analysis, verdicts), style="dim"))


def _observed(analysis: Analysis, verdicts: list[Verdict]) -> str:
    if not verdicts:
        return "No request was recorded whole, so there is no result."
    missing = "; ".join(one.text for one in not_observed(analysis.requests))
    return f"Not observed: {missing}." if missing else "Every signal was observed."


def endpoint_table(analysis: Analysis, verdicts: list[Verdict]) -> Table:
    """One row per endpoint: number of requests, percentiles, and the chief causes."""
    numbers = map(number, ("requests", "p50 ms", "p95 ms", "p99 ms"))
    causes = f"top {TOP_CAUSES} causes: ms, share"
    table = Table(folded("endpoint"), *numbers, causes, number("unexplained"), title=_WHERE)
    for row in _endpoints(analysis, verdicts):
        count = f"{row.requests:,}{row.traced}"
        table.add_row(Text(row.name), count, *row.walls, ", ".join(row.causes), ", ".join(row.unexplained))
        if row.handler:
            table.add_row(Text("  of it in the handler", style="dim"), "", *row.handler)
    return table


def endpoint_lines(analysis: Analysis, verdicts: list[Verdict]) -> Group:
    """The same for a narrow screen: one line per endpoint, and below it one per cause."""
    lines = [Text(_WHERE, style="italic")]
    for row in _endpoints(analysis, verdicts):
        lines.append(Text.assemble((row.name, "bold"), f"  {counted(row.requests, 'request')}{row.traced}"))
        for walls, where in ((row.walls, " felt by clients" if row.handler else ""), (row.handler, " in the handler")):
            if walls:
                lines.append(Text("  p50 {}, p95 {}, p99 {} ms".format(*walls) + where))
        lines += [Text(f"    {cause}") for cause in (*row.causes, f"{Cause.UNEXPLAINED} {' '.join(row.unexplained)}")]
    return Group(*lines)


class _Row(NamedTuple):
    name: str
    requests: int
    traced: str  # how many were traced, in brackets, where not all were
    walls: list[str]  # p50, p95, p99 in ms, felt by clients
    handler: list[str]  # in the handler; [] where that is no other time
    causes: list[str]
    unexplained: tuple[str, str]  # mean ms, share


def _endpoints(analysis: Analysis, verdicts: list[Verdict]) -> Iterator[_Row]:
    summary = summarize(analysis.causes)
    for one in (each.judgement for each in verdicts):
        rows = summary[summary["endpoint"] == one.endpoint]
        named = rows[rows["cause"] != Cause.UNEXPLAINED].head(TOP_CAUSES)
        unknown = rows[rows["cause"] == Cause.UNEXPLAINED]["mean_ns"].sum()
        yield _Row(
            safe(one.endpoint),
            one.requests,
            "" if one.requests == one.traced else in_brackets(f"{one.traced:,} traced"),
            [milliseconds(wall) for wall in one.felt_ns],
            [milliseconds(wall) for wall in one.handler_ns],
            [
                f"{cause} {milliseconds(mean)} {share:.0%}"
                for cause, mean, share in zip(named["cause"], named["mean_ns"], named["share"], strict=True)
            ],
            (milliseconds(unknown), f"{one.unexplained_share:.0%}"),
        )


def verdict_text(one: Verdict, linked: Linked = Text.copy) -> Padding:
    """A verdict as a paragraph: headline, reasons, situations, what to change. `linked` adds links to a text."""
    lines = [Text(safe(f"{one.endpoint}: {one.headline}", 1000), style="bold")]
    lines += [Text(f"  {safe(said, 1000)}") for said in (*one.reasons, *one.situations)]
    if one.remedy:
        lines.append(Text(f"  {safe(f'What to change: {one.remedy}', 1000)}", style="green"))
    return Padding(Group(*map(linked, lines)), (1, 0, 0, 0))


def culprit_table(culprits: Sequence[tuple[Text, Text, str, str, str]]) -> Table:
    """The table of culprits."""
    table = Table(
        folded("culprit"), folded("where"), Column("cause", no_wrap=True), number("requests delayed"), number("ms in all"),
        title="Who delayed them",
    )  # fmt: skip
    for row in culprits:
        table.add_row(*row)
    return table


def culprit_lines(culprits: Sequence[tuple[Text, Text, str, str, str]]) -> Group:
    """The same for a narrow screen: two lines each."""
    lines = [Text("\nWho delayed them", style="italic")]
    for name, where, cause, victims, ms in culprits:
        lines += [
            Text.assemble(f"{ms} ms  ", name, f": {cause} of {counted(int(victims), 'request')}"),
            Text.assemble("  ", where),
        ]
    return Group(*lines)


def _culprits(analysis: Analysis, top: int, linked: Linked) -> Iterator[tuple[Text, Text, str, str, str]]:
    """Yield name, place, cause, requests delayed and ms in all. `linked` adds links to a text."""
    for row in worst_culprits(analysis.culprits, top).to_dict("records"):
        where = linked(Text(safe(place(row["culprit_file"], row["culprit_line"]))))
        yield Text(safe(row["culprit"])), where, str(row["cause"]), str(row["victims"]), milliseconds(float(row["ns"]))


def slowest_table(analysis: Analysis, top: int) -> Table:
    """The slowest requests with their trace ids."""
    columns = Column("trace", no_wrap=True), folded("endpoint"), number("ms"), folded("chief causes: ms")
    table = Table(*columns, title="The slowest requests")
    for trace_id, endpoint, wall, causes in _slowest(analysis, top):
        table.add_row(Text(trace_id), Text(endpoint), wall, causes)
    return table


def slowest_lines(analysis: Analysis, top: int) -> Group:
    """The same for a narrow screen: two lines each."""
    lines = [Text("\nThe slowest requests", style="italic")]
    for trace_id, endpoint, wall, causes in _slowest(analysis, top):
        lines += [Text(f"{wall} ms  {endpoint}: {causes}"), Text(f"  trace {trace_id}", style="dim")]
    return Group(*lines)


def _slowest(analysis: Analysis, top: int) -> Iterator[tuple[str, str, str, str]]:
    """Yield trace id, endpoint, ms and chief causes."""
    slowest = analysis.requests.sort_values("wall_ns", ascending=False).head(top)
    for row in slowest.to_dict("records"):
        own = analysis.causes[analysis.causes["request_id"] == row["request_id"]]
        sums = own.groupby("cause")["amount_ns"].sum().sort_values(ascending=False).head(TOP_CAUSES)
        told = ", ".join(f"{cause} {milliseconds(ns)}" for cause, ns in sums.items()) or "not analysed"
        told += in_handler(row, "; ")
        yield safe(row["trace_id"]), safe(row["endpoint"]), milliseconds(float(row["wall_ns"])), told
