"""The committed page: what was run, what differed, and why. Values in, text out."""

import os
import platform
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from benchmarks.host_suites.compare import Difference, Explanation, Run, reason_for
from benchmarks.host_suites.suites import SHIPPED
from benchmarks.host_suites.tracing import PLAIN, REQUEST, STARTED


@dataclass
class SuiteResult:
    """One suite on one interpreter, in every mode, with what differed."""

    python: str
    suite: str
    lender: str
    runs: dict[str, Run]
    differences: list[Difference] = field(default_factory=list)
    is_older: bool = False  # found with earlier sources of the tracer than the page's other rows

    def ran(self) -> bool:
        """Whether there was any test to compare."""
        return any(not name.startswith("(") for name in self.runs[PLAIN].outcomes)

    @staticmethod
    def of_json(value: dict[str, Any]) -> "SuiteResult":
        """The same from its `asdict`."""
        value["runs"] = {mode: Run(**run) for mode, run in value["runs"].items()}
        value["differences"] = [
            Difference(**(one | {"plain": tuple(one["plain"]), "traced": tuple(one["traced"])}))
            for one in value["differences"]
        ]
        return SuiteResult(**value)


def page(
    results: Sequence[SuiteResult], skipped: Sequence[str], explanations: Sequence[Explanation], before: str = ""
) -> tuple[str, list[str]]:
    """The page, and one line per difference that nothing explains. Rows that only the page `before` has are kept."""
    real = [one for result in results for one in result.differences if one.is_real()]
    flaky = [one for result in results for one in result.differences if not one.is_real()]
    unexplained = [one for one in real if reason_for(one, explanations) is None]
    explained = [(one, reason) for one in real if (reason := reason_for(one, explanations)) is not None]
    lines = [
        "# Other people's tests, without and with every probe",
        "",
        "Made by `make host-suites`; `benchmarks/host_suites/` has the method and `explained.toml` the reasons.",
        "",
        f"- when: {datetime.now(UTC):%Y-%m-%d}; {platform.machine()}, {os.cpu_count()} CPUs",
        f"- Python: {', '.join(sorted({result.python for result in results}))}; "
        + ", ".join(f"{one.name} {one.version}" for one in SHIPPED if any(r.suite == one.name for r in results)),
        f"- the core that recorded: {_cores(results)}",
        "- modes: *plain* (the tracer is not imported), *started* (every probe on), *in a request* (every probe "
        "on, each test inside a request of its own, so that the probes record)",
        "- each test's outcome is compared by its id; a suite's process must end alike too, leave no more "
        "behind, and keep every probe it began with",
        "- a test that differs is run again three times each way, with its whole module; one whose outcomes then "
        "agree with those seen without the tracer is called flaky and listed",
        "",
    ]
    lines += [f"- skipped: {reason}" for reason in skipped]
    idle = [f"{one.python} {one.suite}" for one in results if not one.ran()]
    lines += [f"- does not run here, with or without the tracer: {name}" for name in idle]
    lines += ["", "## Verdict", "", _verdict(results, unexplained, explained, flaky), ""]
    if unexplained:
        lines += ["## Differences without an explanation", "", *map(_line, unexplained), ""]
    if explained:
        lines += ["## Differences that are explained", ""]
        reasons: dict[str, list[Difference]] = {}
        for one, reason in explained:
            reasons.setdefault(reason, []).append(one)
        for reason, ones in reasons.items():
            lines += [f"**{reason}**", "", *map(_line, ones), ""]
    if flaky:
        lines += ["## Flaky: differed once, agreed when run again", "", *map(_line, flaky), ""]
    lines += _counts(results, before)
    return "\n".join(lines).rstrip() + "\n", [_line(one) for one in unexplained]


def _cores(results: Sequence[SuiteResult]) -> str:
    used: dict[str, set[str]] = {}
    for result in results:
        used.setdefault(result.runs[REQUEST].core, set()).add(result.python)
    return "; ".join(f"{core or 'not told'} ({', '.join(sorted(of))})" for core, of in sorted(used.items()))


def _verdict(
    results: Sequence[SuiteResult],
    unexplained: Sequence[Difference],
    explained: Sequence[object],
    flaky: Sequence[Difference],
) -> str:
    compared = sum(len(result.runs[PLAIN].outcomes) for result in results)
    said = f"{len(unexplained)} unexplained" if unexplained else "no unexplained difference"
    return (
        f"{compared:,} tests compared, each in two traced modes: **{said}**, {len(explained)} explained, "
        f"{len(flaky)} flaky."
    )


def _line(one: Difference) -> str:
    return f"- {one.python} `{one.test}` ({one.mode}): without {_seen(one.plain)}; with {_seen(one.traced)}"


def _seen(outcomes: Sequence[str]) -> str:
    counted = Counter(outcomes)
    return ", ".join(f"{outcome} ×{count}" if count > 1 else outcome for outcome, count in counted.items())


def _rows(page: str) -> dict[str, dict[str, str]]:
    """The rows of a page by Python and suite."""
    rows: dict[str, dict[str, str]] = {}
    for line in page.splitlines():
        if line.startswith("## "):
            python = line.removeprefix("## Python ")
        elif suite := re.match(r"\| `([^`]+)`", line):
            rows.setdefault(python, {})[suite[1]] = line
    return rows


def _counts(results: Sequence[SuiteResult], before: str) -> list[str]:
    lines: list[str] = []
    earlier = _rows(before)
    for python in sorted({result.python for result in results} | earlier.keys()):
        lines += [
            f"## Python {python}",
            "",
            "| suite | ok | failed | skipped | s plain / started / in a request | spans | differ |",
            "|---|---|---|---|---|---|---|",
        ]
        for result in results:
            if result.python == python and result.ran():
                lines.append(_row(result))
                earlier.get(python, {}).pop(result.suite, None)
        for row in earlier.get(python, {}).values():
            lines.append(row if "³" in row else row.replace(" |", "³ |", 1))
        lines.append("")
    if any(result.lender for result in results) or "¹" in before:
        lines.append("¹ not shipped by this interpreter: taken from another's `test` folder, for both ways.")
    if any(result.is_older for result in results):
        lines += ["", "² run with earlier sources of the tracer than the rows without this mark."]
    if any(earlier.values()):
        when = re.search(r"^³.* (?:of|from) ([0-9-]+)", before, re.MULTILINE) or re.search(
            r"^- when: ([0-9-]+)", before, re.MULTILINE
        )
        lines += [
            "",
            f"³ not run again, nor counted above: the row of the latest page that had it, from {when[1] if when else 'an unknown day'} on.",
        ]
    return lines


def _row(result: SuiteResult) -> str:
    plain = result.runs[PLAIN]
    counts = plain.counts()
    other = counts.total() - counts["ok"] - counts["skip"]
    modes = (PLAIN, STARTED, REQUEST)
    seconds = " / ".join(f"{result.runs[mode].seconds:.0f}" for mode in modes)
    ended = "" if plain.ended == "ok" else f" ({plain.ended})"
    real = sum(one.is_real() for one in result.differences)
    name = f"`{result.suite}`{'¹' if result.lender else ''}{'²' if result.is_older else ''}{ended}"
    spans = result.runs[REQUEST].spans
    return f"| {name} | {counts['ok']} | {other} | {counts['skip']} | {seconds} | {spans:,} | {real} |"
