"""The page of the street: every program, its truth, and the verdict on each loop."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.street.contract import LOOPS, Program, programs
from benchmarks.street.peers import results
from benchmarks.street.verdict import WITHIN

_HEAD = f"""# The street: programs as found in bug reports

`python -m benchmarks.street` writes this page. Each program ([sources](../street/programs)) is small, uses the real
libraries and no line of whywait. It writes down by itself, apart from the tracer, when its delay fell; its head
declares the cause, the function to blame (a comment marks the line) and the remedy. It is started under `whywait run`
and sent its requests; judged is the **first** reason that `whywait report --json` gives for the endpoint:

- **right**: the cause, the culprit (the user's function, in its file, at its first line or the marked one), the amount
  per request (within {WITHIN:.0%} or 1 ms) and the remedy are all as declared;
- **wrong**: another cause is named, and the true one with its culprit is not among the further reasons;
- **partly**: everything between.

CPUs that other processes took (`cpu_wait`) are set aside: they were taken. A run in which the program's main thread
was runnable but had no CPU for more than a tenth of it, by the kernel's count, is made again (`--runs`); the least
disturbed one counts, and *disturbed* stands beside a verdict for which no run was undisturbed. A wrong verdict stays on the page until the product is mended.
–: on this loop the program has no such delay, by its own stamps and for the reason that its head says.
"""


def write(out: Path) -> None:
    """Writes the page anew from the results that lie there."""
    told = json.loads((out / "street.json").read_text())
    peers = results.read(out / results.FILE)
    (out / "street.md").write_text(page(programs(), told["programs"], told["conditions"], peers))


def page(
    every: Sequence[Program], told: Mapping[str, Any], conditions: Mapping[str, Any], peers: Mapping[str, Any]
) -> str:
    """The page in Markdown, of those programs of which something is known; `peers` as the file of peers.results."""
    known = [one for one in every if one.name in told]
    packages = ", ".join(f"{name} {version}" for name, version in conditions["packages"].items())
    about = (
        f"Python {conditions['python']}, {conditions['cpus']} CPUs ({conditions['machine']}), {conditions['system']}; "
        f"{packages}; load {conditions['load'][0]} at the end; {conditions['day']}."
    )
    parts = [*_scores(told), "", *_table(known, told), "", *_answers(known, told), *results.section(every, peers)]
    return "\n".join([_HEAD, about, "", *parts])


def _scores(told: Mapping[str, Any]) -> list[str]:
    lines = ["| loop | right | partly | wrong | skipped or failed |", "|---|---:|---:|---:|---:|"]
    for loop in LOOPS:
        of = Counter(one[loop]["grade"] for one in told.values() if loop in one)
        if not of:
            continue
        others = sum(of.values()) - of["right"] - of["partly"] - of["wrong"]
        lines.append(f"| {loop} | {of['right']} | {of['partly']} | {of['wrong']} | {others} |")
    return lines


def _table(programs: Sequence[Program], results: Mapping[str, Any]) -> list[str]:
    lines = ["| program | truth | ms per request | asyncio | uvloop |", "|---|---|---:|---|---|"]
    for one in programs:
        who = f" by `{one.culprit}`" if one.culprit else ""
        told = [results[one.name].get(loop) for loop in LOOPS]
        truth = next((f"{run['truth_ms']:.0f}" for run in told if run and "truth_ms" in run), "")
        grades = " | ".join(_grade(run) if loop in one.loops else "–" for loop, run in zip(LOOPS, told, strict=True))
        lines.append(
            f"| [{one.name}](../street/programs/{one.kind}/{one.path.name}) | {one.cause}{who} | {truth} | {grades} |"
        )
    return lines


def _grade(run: Mapping[str, Any] | None) -> str:
    if run is None:
        return ""
    faults = f" (not: {', '.join(run['faults'])})" if run.get("faults") else ""
    return f"{run['grade']}{faults}{', *disturbed*' * run.get('disturbed', False)}"


def _answers(programs: Sequence[Program], results: Mapping[str, Any]) -> list[str]:
    lines = ["## What was told where it was not right", ""]
    for one in programs:
        for loop, run in results[one.name].items():
            if run["grade"] != "right":
                lines.append(
                    f"- **{one.name}**, {loop}, {_grade(run)}: {one.title.splitlines()[0]} Told: {run['told']}"
                )
    return [*lines, ""]
