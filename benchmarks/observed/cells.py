"""Pure: what a run of the programs says of each cause, and the page that lists it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.observed.program import Program

UNAVAILABLE: Final = "unavailable"
DISTURBED: Final = "disturbed"  # the machine took so much of it that the run says nothing
_LEAST_NS: Final = 10_000_000
# what a busy machine takes from any program
_TAKEN: Final = "cpu_wait"


@dataclass(frozen=True)
class Column:
    """One run of all programs."""

    title: str
    signals: tuple[str, ...]
    cells: Mapping[str, str]  # by program: observed, sampled, inferred, or unavailable and where it went
    named: Mapping[str, bool]  # by program: whether who made it wait was named


def cell(program: Program, seen: Mapping[str, Any]) -> str:
    """How the program's cause was known; where less than half of its truth was found, where that went."""
    amounts: Mapping[str, Mapping[str, int]] = seen["amounts"]
    totals = {cause: sum(parts.values()) for cause, parts in amounts.items()}
    truth_ns = seen["truth_ns"]
    if program.cause not in (_TAKEN, "compute"):  # of these the program knows the CPU's part itself
        truth_ns -= totals.get(_TAKEN, 0)
    if truth_ns < _LEAST_NS:
        return DISTURBED
    if totals.get(program.cause, 0) >= truth_ns / 2:
        parts = amounts[program.cause]
        return max(parts, key=lambda evidence: parts[evidence])
    elsewhere = {cause: amount for cause, amount in totals.items() if cause not in (program.cause, "compute")}
    if not elsewhere:
        return UNAVAILABLE
    return f"{UNAVAILABLE} → {max(elsewhere, key=lambda cause: elsewhere[cause])}"


def column(title: str, programs: Sequence[Program], found: Mapping[str, Any]) -> Column:
    """The column that a run of these programs makes."""
    seen = found["programs"]
    return Column(
        title,
        tuple(found["signals"]),
        {one.name: cell(one, seen[one.name]) for one in programs if one.name in seen},
        {
            one.name: re.search(one.culprit, seen[one.name]["culprit"]) is not None
            for one in programs
            if one.culprit and one.name in seen
        },
    )


def agree(first: str, second: str) -> bool:
    """Whether two cells say the same, but for where the time went that was not found."""
    return first.partition(" ")[0] == second.partition(" ")[0]


def page(programs: Sequence[Program], columns: Sequence[Column], notes: Sequence[str]) -> str:
    """The whole page, as Markdown."""
    signals = sorted({signal for one in columns for signal in one.signals})
    lines = [
        "# What is observed where",
        "",
        "Made by `make observed-table`. Each row is a small program whose one request waits for one thing, and",
        "knows for how long; each cell is what came out of it, traced on that interpreter and loop:",
        "",
        "- **observed**: both ends were timed; **sampled**: divided by samples of the thread's state, with a",
        "  standard error; **inferred**: by rule. At least half of the true wait is under its cause (what a busy",
        "  machine took as `cpu_wait` left aside); in a quiet run it is nearly all.",
        "- **unavailable → x**: less than half of it was; most of the time stood under x.",
        "",
        *(f"- {note}" for note in notes),
        "",
        *_table("cause", columns, [(_row(one), [c.cells.get(one.name, "") for c in columns]) for one in programs]),
        "",
        "## Who made it wait",
        "",
        "The holder of the lock or the GIL, the occupant of the pool, what ran on the loop, who had the CPU.",
        "",
        *_table(
            "cause",
            columns,
            [
                (one.name, ["named" if c.named.get(one.name) else "not named" for c in columns])
                for one in programs
                if one.culprit
            ],
        ),
        "",
        "## Signals",
        "",
        *_table(
            "signal",
            columns,
            [(signal, ["yes" if signal in c.signals else "no" for c in columns]) for signal in signals],
        ),
        "",
    ]
    return "\n".join(lines)


def _row(program: Program) -> str:
    return f"{program.name} *({program.note})*" if program.note else program.name


def _table(corner: str, columns: Sequence[Column], rows: Sequence[tuple[str, list[str]]]) -> list[str]:
    head = [corner, *(one.title for one in columns)]
    return [
        f"| {' | '.join(head)} |",
        f"|{'---|' * len(head)}",
        *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows),
    ]


def columns_of(text: str) -> list[Column]:
    """The columns that a page lists; the reverse of `page`."""
    tables = [_read(part) for part in text.split("\n## ")]
    (_, causes), (_, named), (_, signals) = tables
    return [
        Column(
            title,
            tuple(signal for signal, cells in signals.items() if cells[number] == "yes"),
            {name.partition(" *(")[0]: cells[number] for name, cells in causes.items()},
            {name: cells[number] == "named" for name, cells in named.items()},
        )
        for number, title in enumerate(tables[0][0])
    ]


def _read(text: str) -> tuple[list[str], dict[str, list[str]]]:
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return rows[0][1:], {row[0]: row[1:] for row in rows[1:]}
