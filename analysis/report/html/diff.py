"""The comparison of two runs as one self-contained HTML file, without network access."""

import os
from typing import Any

from whywait.analysis.changes.comparison import Change, Comparison
from whywait.analysis.changes.sentences import headline, how_divided, reasons
from whywait.analysis.model import Analysis
from whywait.analysis.report.html.page import rendered, write_page
from whywait.analysis.text import safe

MAX_ENDPOINTS = 200


def write_diff_html(
    found: Comparison, sides: tuple[Analysis, Analysis], names: tuple[str, str], path: str | os.PathLike[str]
) -> None:
    """Write the comparison to `path`, completely or not at all. Raises InputError when it cannot be written."""
    write_page(diff_page(found, sides, names), path)


def diff_page(found: Comparison, sides: tuple[Analysis, Analysis], names: tuple[str, str]) -> str:
    """Return the comparison's page. The template escapes trace content and removes control characters."""
    return rendered(
        "diff.html.j2",
        {
            "title": safe(f"whywait: {names[0]} → {names[1]}"),
            "names": names,
            "percentile": f"p{found.percentile:g}",
            "findings": [(name, one) for side, name in zip(sides, names, strict=True) for one in side.findings],
            "changes": [_shown(one, found.percentile) for one in found.changes[:MAX_ENDPOINTS]],
            "left_out": max(0, len(found.changes) - MAX_ENDPOINTS),
            "only_before": found.only_before,
            "only_after": found.only_after,
            "how": how_divided(found),
        },
    )


def _shown(change: Change, percentile: float) -> dict[str, Any]:
    scale = _scale(change)
    at = change.before_ns
    rows = []
    for one in change.causes:
        begin, end = sorted((at, at + one.delta_ns))
        at += one.delta_ns
        rows.append(
            {"one": one, "left": _percent(begin, scale), "width": _percent(end - begin, scale),
             "way": ("up" if one.delta_ns > 0 else "down") + ("" if one.certain else " unsure")}
        )  # fmt: skip
    return {
        "change": change,
        "headline": headline(change, percentile),
        "way": ("worse" if change.delta_ns > 0 else "better") if change.certain else "",
        "reasons": reasons(change),
        "remedy": change.remedy.text if change.remedy else "",
        "rows": rows,
        "before_width": _percent(change.before_ns, scale),
        "after_width": _percent(change.after_ns, scale),
    }


def _scale(change: Change) -> int:
    """Return the largest value among the steps from before to after."""
    at = longest = change.before_ns
    for one in change.causes:
        at += one.delta_ns
        longest = max(longest, at)
    return max(longest, 1)


def _percent(ns: int, scale: int) -> float:
    return round(100 * max(ns, 0) / scale, 3)
