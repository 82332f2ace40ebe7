"""The page of requests that come while the loop is held: whether their blocker is told with its line, by Python. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from benchmarks.truth.fault import FAULTS
from benchmarks.truth.page import number, share
from benchmarks.truth.scores import score

TARGET: Final = 0.98


def rows(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rows of one Python, by loop and fault, of all, and its error against the clients' clocks."""
    loops = sorted({one["loop"] for one in records})
    by_loop = {loop: score([one for one in records if one["loop"] == loop]) for loop in loops}
    names = sorted({one["name"] for one in records})
    return {
        "faults": {loop: {name: of["faults"][name] for name in names} for loop, of in by_loop.items()},
        "all": {loop: of["all"] for loop, of in by_loop.items()},
        "felt": {loop: of["felt"]["all"] for loop, of in by_loop.items()},
    }


def page(told: Mapping[str, Any]) -> str:
    """Return the whole page; `told` is by version of Python."""
    lines = [
        "# Who comes while the loop is held: is the blocker told?", "",
        "Made by `python -m benchmarks.truth --victims` on each Python; figures in truth_victims.json. The truth is the client's",
        "own clock and the blocker's own stamps; the rules are those of [the truth](truth.md). Left out: what the blocker did not",
        f"slow, or something else slowed more. The goal: named with file and line in at least {TARGET:.0%}.", "",
    ]  # fmt: skip
    for version, of in sorted(told.items()):
        here = of["conditions"]
        lines += [
            f"## Python {version}", "",
            f"{here['day']}, {here['core']} core, {here['cpus']} CPUs, {here['system']}; load average at the end "
            + ", ".join(map(str, here["load"])), *(f"A run failed: {one}" for one in of["failed"]), "",
            "| loop | who holds it | true cause | scored | left out | cause first | culprit | file:line | error p50 ms |",
            "|---|---|---|---:|---:|---:|---:|---:|---:|",
        ]  # fmt: skip
        for loop, faults in of["faults"].items():
            for name, one in faults.items():
                about = FAULTS[name].about if name in FAULTS else name
                lines.append(
                    f"| {loop} | {about} | `{one['cause_meant']}` | {_scored(one, sum(one['left_out'].values()))}"
                )
            lines.append(f"| {loop} | **all** | | {_scored(of['all'][loop], '')}")
        for loop, one in of["felt"].items():
            lines += ["", (
                f"{loop}: told less measured by the client: p50 {number(one['error_ms_p50'])} ms, p95 {number(one['error_ms_p95'])}"
                f" ms (a tick: {one['tick_ms']:.0f} ms); {share(one['told_share'])} of its time told; causes fill"
                f" {one['conserved']} of {one['requests']} windows."
            )]  # fmt: skip
        lines.append("")
    return "\n".join(lines)


def _scored(one: Mapping[str, Any], left_out: object) -> str:
    shares = " | ".join(share(one[name]) for name in ("cause", "culprit", "place"))
    return f"{one['scored']} | {left_out} | {shares} | {number(one['error_ms_p50'])} |"
