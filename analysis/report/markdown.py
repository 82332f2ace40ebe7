"""The report and the comparison as Markdown, for the summary of a build or a ticket. Trace content is no markup here."""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from whywait.analysis.changes.comparison import Comparison
from whywait.analysis.changes.sentences import headline, how_divided, reasons
from whywait.analysis.model import Analysis
from whywait.analysis.report.told import Told, told_of
from whywait.analysis.text import milliseconds, safe, signed
from whywait.analysis.verdicts.capacity_words import sentences
from whywait.analysis.verdicts.sentences import Verdict

_MARKUP: Final = re.compile(r"([\\`*_\[\]<>#|~@])")  # `@` would call a person on a code host
_LONGEST: Final = 1000


def report_markdown(analysis: Analysis, told: Told | None = None) -> str:
    """Return what limits each process, a table of endpoints, and of each why, who and what to change.
    `told`: `told_of(analysis)`, where it is known."""
    verdicts, processes, _ = told or told_of(analysis)
    rows = [
        (one.endpoint, str(one.requests), *map(milliseconds, one.felt_ns), str(one.reasons[0].cause) if one.reasons else "none")
        for one in (each.judgement for each in verdicts)
    ]  # fmt: skip
    parts = [f"**{_plain(said)}**\n" for said in sentences(processes)]
    parts.append(_table(("endpoint", "requests", "p50 ms", "p95 ms", "p99 ms", "chief cause"), rows))
    return "\n".join((*parts, *map(verdict_markdown, verdicts)))


def verdict_markdown(one: Verdict) -> str:
    """Return one endpoint's verdict: why, who and what to change."""
    lines = [*one.reasons, *one.situations, *([f"What to change: {one.remedy}"] if one.remedy else [])]
    return _paragraph(one.endpoint, one.headline, lines)


def diff_markdown(found: Comparison) -> str:
    """Return of each endpoint what changed, and the causes whose difference is beyond chance."""
    parts = []
    for one in found.changes:
        told = [*reasons(one), *([f"What to change: {one.remedy.text}"] if one.remedy else [])]
        parts.append(_paragraph(one.endpoint, headline(one, found.percentile), told))
        rows = [
            (str(cause.cause), milliseconds(cause.before_ns), milliseconds(cause.after_ns), signed(cause.delta_ns))
            for cause in one.causes
            if cause.certain
        ]
        if rows:
            parts.append(_table(("cause", "before ms", "after ms", "difference ms"), rows))
    parts += [
        f"Only {side}, not compared: {', '.join(map(_plain, endpoints))}\n"
        for side, endpoints in (("before", found.only_before), ("after", found.only_after))
        if endpoints
    ]
    return "\n".join((*parts, f"{_plain(how_divided(found))}\n"))


def _paragraph(name: str, said: str, more: Iterable[str]) -> str:
    return "".join((f"**{_plain(name)}**: {_plain(said)}\n\n", *(f"- {_plain(one)}\n" for one in more)))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    def lines() -> Iterator[str]:
        yield f"| {' | '.join(head)} |"
        yield f"|---|{'---:|' * (len(head) - 1)}"
        for row in rows:
            yield f"| {' | '.join(map(_plain, row))} |"

    return "\n".join(lines()) + "\n"


def _plain(text: str) -> str:
    return _MARKUP.sub(lambda found: "&#64;" if found[0] == "@" else f"\\{found[0]}", safe(text, _LONGEST))
