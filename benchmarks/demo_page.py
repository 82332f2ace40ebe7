"""Turns a demo's results.json into the committed page, and into README's first table.

whywait demo --output DIR && python -m benchmarks.demo_page DIR
"""

import json
import sys
from pathlib import Path
from typing import Any

SHOWN = 3
ROOT = Path(__file__).resolve().parents[1]
PAGE, README = ROOT / "benchmarks/results/demo.md", ROOT / "README.md"
TOLD_OF = "per_request_pool"  # whose verdict README quotes
_BEGIN = "<!-- demo: written by python -m benchmarks.demo_page -->\n"
_END = "<!-- end of demo -->\n"


def page(results: dict[str, Any]) -> str:
    """The demo's table, verdicts and conditions as Markdown."""
    conditions = results["conditions"]
    packages = ", ".join(f"{name} {version}" for name, version in conditions["packages"].items())
    lines = [
        "# The demo's results",
        "",
        "Made by `whywait demo` and `python -m benchmarks.demo_page`.",
        "",
        f"- Python {conditions['python']}, {conditions['cpus_usable']} CPUs, {conditions['machine']}, {conditions['system']}",
        f"- {packages}",
        f"- load average before: {conditions['load_average_1min']}{'; more requests (--full)' if conditions['full'] else ''}",
        "",
        f"**{results['felt']}**",
        "",
        *table(results["cells"]),
        "",
        *(f"- {text}" for text in results["verdicts"]),
    ]
    if results["comparison"]:
        lines += ["", f"**{results['comparison']['text']}**"]
    heading, *steps = results["foretold"].splitlines() or [""]
    lines += ["", heading, "", *(f"- {one.strip()}" for one in steps)] if steps else []
    return "\n".join(lines)


def for_readme(results: dict[str, Any]) -> str:
    """The cells of the most clients, and the chief sentences."""
    conditions = results["conditions"]
    most = max(cell["clients"] for cell in results["cells"])
    quoted = [text for text in results["verdicts"] if text.startswith(f"{TOLD_OF} × {most} ")]
    if results["comparison"]:
        quoted.append(f"**{results['comparison']['text']}**")
    lines = [
        results["felt"], "",
        *table([cell for cell in results["cells"] if cell["clients"] == most]), "",
        *"\n>\n".join(f"> {text}" for text in quoted).split("\n"), "",
        *[line for text in (results["foretold"],) if text for line in ("```text", *text.splitlines(), "```", "")],
        "From the run in [benchmarks/results/demo.md](benchmarks/results/demo.md) (Python "
        f"{conditions['python']}, {conditions['cpus_usable']} CPUs, load average {conditions['load_average_1min']} before).",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def written(results: dict[str, Any]) -> None:
    """Writes both."""
    PAGE.write_text(page(results) + "\n")
    before, _, rest = README.read_text().partition(_BEGIN)
    README.write_text(before + _BEGIN + for_readme(results) + _END + rest.partition(_END)[2])


def table(cells: list[dict[str, Any]]) -> list[str]:
    """One row per mode and number of clients: as clients measured, as told, and why."""
    lines = [
        "| mode | clients | requests/s | p50 ms | told p50 ms | accounted for | p99 ms | chief causes, mean per request | "
        "unexplained |",
        "|---|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for cell in cells:
        named = [one for one in cell["causes"] if one["cause"] != "unexplained"][:SHOWN]
        unknown = next((one["share"] for one in cell["causes"] if one["cause"] == "unexplained"), 0.0)
        told = ", ".join(f"{one['cause']} {one['mean_ms']:.1f} ms ({one['share']:.0%})" for one in named)
        lines.append(
            f"| {cell['mode']} | {cell['clients']} | {cell['requests_per_s']:.1f} | {cell['client_p50_ms']:.1f} | "
            f"{cell['told_p50_ms']:.1f} | {cell['accounted']:.1%} | {cell['client_p99_ms']:.1f} | {told} | {unknown:.0%} |"
        )
    return lines


if __name__ == "__main__":
    written(json.loads((Path(sys.argv[1]) / "results.json").read_text()))
