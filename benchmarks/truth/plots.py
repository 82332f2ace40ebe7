"""Two pictures for the page, as SVG: they need no browser and no library to make."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from typing import Any, Final

from benchmarks.truth.baselines import RULES

Table = Mapping[str, Any]
ROW, LEFT, WIDTH, TOP = 17, 200, 520, 56
INK, PALE, GRID = "#24292f", "#57606a", "#d0d7de"
COLOURS: Final = {"whywait": "#0550ae", "self time": "#bc4c00", "critical path": "#8250df", "longest span": "#6e7781"}
LOW_MS, HIGH_MS = 0.01, 100.0


def scores_picture(told: Table) -> str:
    """How often each rule named the true cause first, by fault."""
    rows = []
    for name, one in _scored(told):
        marks = [("whywait", one["cause"]), *((rule, one["baselines"][rule]["cause"]) for rule in RULES)]
        rows.append((name, [(LEFT + share * WIDTH, COLOURS[rule], rule == "whywait") for rule, share in marks]))
    ticks = [(LEFT + WIDTH * share, f"{share:.0%}") for share in (0, 0.25, 0.5, 0.75, 1)]
    return _picture("True cause named first", rows, ticks, list(COLOURS.items()))


def errors_picture(told: Table) -> str:
    """The error of the told amount at the median and at p95, by fault, in ms (logarithmic)."""
    rows = [
        (name, [(_x(one["error_ms_p95"]), "#bc4c00", False), (_x(one["error_ms_p50"]), "#0550ae", True)])
        for name, one in _scored(told)
    ]
    ticks = [(_x(ms), f"{ms:g} ms") for ms in (0.01, 0.1, 1, 10, 100)]
    return _picture("Error of the told amount", rows, ticks, [("median", "#0550ae"), ("p95", "#bc4c00")])


def _scored(told: Table) -> list[tuple[str, Table]]:
    return [(name, one) for name, one in told["faults"].items() if one["scored"]]


def _x(ms: float) -> float:
    within = min(max(ms, LOW_MS), HIGH_MS)
    return LEFT + WIDTH * (log10(within) - log10(LOW_MS)) / (log10(HIGH_MS) - log10(LOW_MS))


def _picture(
    title: str,
    rows: Sequence[tuple[str, Sequence[tuple[float, str, bool]]]],
    ticks: Sequence[tuple[float, str]],
    legend: Sequence[tuple[str, str]],
) -> str:
    bottom = TOP + ROW * len(rows)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 30}" height="{bottom + 24}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}"><rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="8" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    x = float(LEFT)
    for words, colour in legend:
        parts.append(f'<circle cx="{x:.0f}" cy="34" r="4.5" fill="{colour}"/>')
        parts.append(f'<text x="{x + 8:.0f}" y="38">{escape(words)}</text>')
        x += 30 + 7 * len(words)
    for at, words in ticks:
        parts.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}" stroke="{GRID}"/>')
        parts.append(f'<text x="{at:.1f}" y="{bottom + 14}" text-anchor="middle" fill="{PALE}">{escape(words)}</text>')
    for number, (name, marks) in enumerate(rows):
        y = TOP + ROW * number + ROW / 2
        parts.append(f'<text x="{LEFT - 10}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        for at, colour, chief in sorted(marks, key=lambda mark: mark[2]):
            radius, fill = (5.0, colour) if chief else (3.5, "none")
            parts.append(
                f'<circle cx="{at:.1f}" cy="{y:.1f}" r="{radius}" fill="{fill}" stroke="{colour}" stroke-width="1.5"/>'
            )
    return "\n".join([*parts, "</svg>", ""])
