"""The comparison of two runs in a terminal."""

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from whywait.analysis.changes.comparison import Change, Comparison
from whywait.analysis.changes.sentences import headline, how_divided, reasons
from whywait.analysis.model import Analysis
from whywait.analysis.report.terminal.parts import notes, number
from whywait.analysis.text import milliseconds, safe, signed

MOST_CAUSES = 8
Sides = tuple[Analysis, Analysis]


def render_diff(found: Comparison, sides: Sides, names: tuple[str, str], console: Console) -> None:
    """Print each endpoint's change with its causes, then the endpoints of only one run."""
    for side, name in zip(sides, names, strict=True):
        for note in notes(side.findings, f"{name}: "):
            console.print(note)
    for change in found.changes:
        console.print(_words(change, found.percentile))
        console.print(_table(change, found.percentile))
    for side_name, endpoints in (("before", found.only_before), ("after", found.only_after)):
        if endpoints:
            listed = ", ".join(safe(one) for one in endpoints)
            console.print(Text(f"\nOnly {side_name}, not compared: {listed}"))
    console.print(Text(f"\n{how_divided(found)}", style="dim"))


def _words(change: Change, percentile: float) -> Padding:
    colour = ("red" if change.delta_ns > 0 else "green") if change.certain else ""
    lines = [Text(safe(f"{change.endpoint}: {headline(change, percentile)}", 1000), style=f"bold {colour}".strip())]
    lines += [Text(f"  {safe(one, 1000)}") for one in reasons(change)]
    if change.remedy:
        lines.append(Text(f"  What to change: {change.remedy.text}", style="green"))
    return Padding(Group(*lines), (1, 0, 0, 0))


def _table(change: Change, percentile: float) -> Table:
    numbers = map(number, ("before ms", "after ms", "difference ms", "[between]"))
    table = Table(Column("cause", no_wrap=True), *numbers, pad_edge=False)
    shown = change.causes[:MOST_CAUSES]
    for one in shown:
        table.add_row(
            str(one.cause), milliseconds(one.before_ns), milliseconds(one.after_ns), signed(one.delta_ns),
            Text(f"[{signed(one.low_ns)}, {signed(one.high_ns)}]"), style="" if one.certain else "dim",
        )  # fmt: skip
    rest = change.causes[MOST_CAUSES:]
    if rest:
        before, after = sum(one.before_ns for one in rest), sum(one.after_ns for one in rest)
        table.add_row(
            f"{len(rest)} more", milliseconds(before), milliseconds(after), signed(after - before), "", style="dim"
        )
    table.add_section()
    table.add_row(
        f"p{percentile:g}", milliseconds(change.before_ns), milliseconds(change.after_ns), signed(change.delta_ns),
        Text(f"[{signed(change.low_ns)}, {signed(change.high_ns)}]"), style="bold",
    )  # fmt: skip
    return table
