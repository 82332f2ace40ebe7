"""The comparison of two runs in a terminal."""

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from whywait.analysis.changes.comparison import CauseChange, Change, Comparison
from whywait.analysis.changes.sentences import headline, how_divided, reasons
from whywait.analysis.model import Analysis
from whywait.analysis.report.terminal.parts import notes, number
from whywait.analysis.text import milliseconds, safe, signed

MOST_CAUSES = 8
_NARROW = 80  # columns: below it the interval stands under its difference
Sides = tuple[Analysis, Analysis]


def render_diff(found: Comparison, sides: Sides, names: tuple[str, str], console: Console) -> None:
    """Print each endpoint's change with its causes, then the endpoints of only one run."""
    for side, name in zip(sides, names, strict=True):
        for note in notes(side.findings, f"{name}: "):
            console.print(note)
    for change in found.changes:
        console.print(_words(change, found.percentile))
        console.print(_table(change, found.percentile, narrow=console.width < _NARROW))
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


def _table(change: Change, percentile: float, *, narrow: bool) -> Table:
    names = ("ms before", "after", "difference") if narrow else ("before ms", "after ms", "difference ms", "[between]")
    table = Table(Column("cause", no_wrap=True), *map(number, names), pad_edge=False)

    def add(name: str, before: int, after: int, between: str, style: str) -> None:
        cells = [milliseconds(before), milliseconds(after), signed(after - before), between]
        if narrow:
            cells[-2:] = ["\n".join(filter(None, cells[-2:]))]
        table.add_row(name, *map(Text, cells), style=style)

    for one in change.causes[:MOST_CAUSES]:
        add(str(one.cause), one.before_ns, one.after_ns, _between(one), "" if one.certain else "dim")
    rest = change.causes[MOST_CAUSES:]
    if rest:
        add(f"{len(rest)} more", sum(one.before_ns for one in rest), sum(one.after_ns for one in rest), "", "dim")
    table.add_section()
    add(f"p{percentile:g}", change.before_ns, change.after_ns, _between(change), "bold")
    return table


def _between(one: Change | CauseChange) -> str:
    return f"[{signed(one.low_ns)}, {signed(one.high_ns)}]"
