"""Turns a demo's results.json into the committed page.

whywait demo --out DIR && python -m benchmarks.demo_page DIR > benchmarks/results/demo.md
"""

import json
import sys
from pathlib import Path
from typing import Any

SHOWN = 3


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
        "",
        *table(results["cells"]),
        "",
        *(f"- {text}" for text in results["verdicts"]),
    ]
    if results["comparison"]:
        lines += ["", f"**{results['comparison']['text']}**"]
    return "\n".join(lines)


def table(cells: list[dict[str, Any]]) -> list[str]:
    """One row per mode and number of clients."""
    lines = ["| mode | clients | requests/s | p50 ms | p99 ms | chief causes, mean per request | unexplained |"]
    lines.append("|---|---:|---:|---:|---:|---|---:|")
    for cell in cells:
        named = [one for one in cell["causes"] if one["cause"] != "unexplained"][:SHOWN]
        unknown = next((one["share"] for one in cell["causes"] if one["cause"] == "unexplained"), 0.0)
        told = ", ".join(f"{one['cause']} {one['mean_ms']:.1f} ms ({one['share']:.0%})" for one in named)
        lines.append(
            f"| {cell['mode']} | {cell['clients']} | {cell['requests_per_s']:.1f} | {cell['client_p50_ms']:.1f} | "
            f"{cell['client_p99_ms']:.1f} | {told} | {unknown:.0%} |"
        )
    return lines


if __name__ == "__main__":
    print(page(json.loads((Path(sys.argv[1]) / "results.json").read_text())))
