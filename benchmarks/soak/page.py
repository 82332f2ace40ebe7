"""The page of a soak: a sentence on what grew, the readings, and the curves that the page's reader draws. Pure."""

from collections.abc import Sequence
from dataclasses import astuple, fields
from typing import Final

from benchmarks.soak.readings import Reading

WARM_UP_S: Final = 240.0  # one turn of all kinds of work
POINTS: Final = 24  # of a curve
ROWS: Final = 120  # of the table
HEADINGS: Final = ("s", "answers", "memory MiB", "threads", "descriptors", "children", "sampler MiB", "traces MiB")


def page(readings: Sequence[Reading], how: str, machine: str) -> str:
    """The whole page; `how` says by which command and load."""
    every = max(len(readings) // ROWS, 1)
    rows = [[f"{one:.1f}" if isinstance(one, float) else str(one) for one in astuple(line)] for line in readings]
    table = [HEADINGS, ["---:"] * len(HEADINGS), *rows[::every]]
    lines = "\n".join(f"| {' | '.join(row)} |" for row in table)
    return f"# Hours of load: what grows\n\n{how}\n\n{machine}\n{growth(readings)}\n\n{lines}\n\n{curves(readings)}"


def growth(readings: Sequence[Reading]) -> str:
    """The highest of each figure in the first and in the second half after the warm-up."""
    warm = [one for one in readings if one.at_s >= WARM_UP_S] or list(readings)
    first, second = warm[: len(warm) // 2] or warm, warm[len(warm) // 2 :]

    def highest(field: str) -> str:
        return " → ".join(f"{max(getattr(one, field) for one in half):.0f}" for half in (first, second))

    told = ", ".join(
        f"{heading} {highest(field.name)}"
        for heading, field in list(zip(HEADINGS, fields(Reading), strict=True))[2:]
    )  # fmt: skip
    answers, after = f"{readings[-1].answers:,} answers", f"After {WARM_UP_S:g} s"
    return f"- {answers}. {after}, highest of the first half → of the second: {told}."


def curves(readings: Sequence[Reading]) -> str:
    """Memory, and threads and descriptors, over the minutes."""
    chosen = readings[:: max(len(readings) // POINTS, 1)]
    minutes = ", ".join(f"{one.at_s / 60:.0f}" for one in chosen)

    def chart(title: str, unit: str, *names: str) -> str:
        drawn = [[float(getattr(one, name)) for one in chosen] for name in names]
        most = max(map(max, drawn)) * 1.2
        lines = "\n".join(f"    line [{', '.join(f'{value:.1f}' for value in line)}]" for line in drawn)
        return (
            f'```mermaid\nxychart-beta\n    title "{title}"\n    x-axis "minutes" [{minutes}]\n'
            f'    y-axis "{unit}" 0 --> {most:.0f}\n{lines}\n```\n'
        )

    memory = chart("Memory of the service, and of its sampler", "MiB", "rss_mib", "sampler_mib")
    return memory + "\n" + chart("Descriptors and threads of the service", "number", "descriptors", "threads")
