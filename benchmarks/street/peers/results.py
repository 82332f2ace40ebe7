"""What is known of the tools: a JSON file that grows run by run, and the page's section of it."""

import fcntl
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.street.contract import Program
from benchmarks.street.peers.rule import NOTHING_MS, SHARE
from benchmarks.street.peers.tools import TOOLS
from benchmarks.truth.conditions import conditions

FILE: Final = "street_peers.json"
_HEAD = f"""## What other tools tell of the same programs

`python -m benchmarks.street.peers` runs each program, with a third of the requests, under each tool, set up
as its documentation says with every option on that tells more, and reads the tool's real output: call trees, folded
stacks, pprof, spans. One [rule](../street/peers/rule.py) without a judge's eye scores it, whywait's own report too:

- **2**: stretches of the delayed request that hold {SHARE:.0%} of the true delay name the culprit's function, and
  stretches that hold as much tell the cause, by the tool's words, the library functions on the stack, or the source
  of the user's lines that it points at ([table of words](../street/peers/words.py));
- **1**: only one of the two; or both, but of the process and not of the delayed request; or where in code, or in which
  call, the request's time went;
- **0**: nothing of the kind. A program without a fault: 2 where nothing above {NOTHING_MS:.0f} ms is accused, else 0.

Where in doubt the rule is generous: the culprit may stand among others and need not come first; one stretch may name
the function and another the cause; a stack counts as the request's where it leads through the endpoint's function,
although the tool does not say so (not where another request's computing is the delay); all threads that Sentry samples
during a request count as that request's. whywait names causes, and is held to the name. Neither amount nor remedy is
asked for, which only whywait gives.
"""


def read(file: Path) -> dict[str, Any]:
    """What is known; nothing yet where there is no file."""
    return dict(json.loads(file.read_text())) if file.exists() else {}


def keep(file: Path, program: str, tool: str, told: Mapping[str, Any], order: Sequence[Program]) -> None:
    """Adds one score; nothing is lost where a run is broken off, and several runs may write in turns."""
    file.touch()
    with open(file, "r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        known = json.loads(held.read() or "{}").get("programs", {})
        known.setdefault(program, {})[tool] = told
        facts = conditions([one.package for one in TOOLS.values()])
        kept = {one.name: known[one.name] for one in order if one.name in known}
        held.seek(0)
        held.write(json.dumps({"conditions": facts, "programs": kept}, indent=1) + "\n")
        held.truncate()


def totals(known: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The points of each tool, and how many it could have had, over the programs that all tools were run on."""
    whole = _whole(known)
    return {tool: (sum(one[tool]["points"] for one in whole), 2 * len(whole)) for tool in TOOLS}


def _whole(known: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in known.values() if all(one.get(tool, {}).get("points") is not None for tool in TOOLS)]


def section(programs: Sequence[Program], results: Mapping[str, Any]) -> list[str]:
    """The section in Markdown; none where nothing is known."""
    if not results:
        return []
    known = results["programs"]
    sums, versions = totals(known), results["conditions"]["packages"]
    about = [f"- {tool} {versions.get(one.package, '')}: {one.how}" for tool, one in TOOLS.items()]
    return [
        _HEAD,
        *about,
        "",
        f"Run under all tools: {len(_whole(known))} of {len(programs)} programs; the totals are of these. "
        "*: disturbed, its main thread lacked a CPU for more than a tenth of the run.",
        "",
        *_table([one for one in programs if one.name in known], known, sums),
        "",
        *_ahead(known),
        "",
    ]


def _table(programs: Sequence[Program], known: Mapping[str, Any], sums: Mapping[str, tuple[int, int]]) -> list[str]:
    lines = [
        f"| program | truth | {' | '.join(sums)} |",
        f"|---|---|{'---:|' * len(sums)}",
        f"| **total** | | {' | '.join(f'**{points} of {most}**' for points, most in sums.values())} |",
    ]
    for one in programs:
        points = " | ".join(_points(known[one.name].get(tool)) for tool in sums)
        lines.append(f"| {one.name} | {one.cause} | {points} |")
    return lines


def _points(told: Mapping[str, Any] | None) -> str:
    if told is None or told["points"] is None:
        return "–"
    return f"{told['points']}{'*' * told.get('disturbed', False)}"


def _ahead(known: Mapping[str, Any]) -> list[str]:
    """What another tool does better: each is a fault of ours."""
    lines = []
    for program, told in known.items():
        own = (told.get("whywait") or {}).get("points")
        better = {tool: one for tool, one in told.items() if own is not None and (one["points"] or 0) > own}
        for tool, one in better.items():
            lines.append(
                f"- **{program}**, {tool} {one['points']}: {one['evidence']}. whywait {own}: {told['whywait']['evidence']}"
            )
    return ["### Where another tool tells more than whywait", "", *(lines or ["Nowhere in these programs."])]
