"""What the benchmark asks for, and which faults fall short of it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

CAUSE, PAIRS, CULPRIT, NULLS, UNEXPLAINED = 0.98, 0.90, 0.95, 0.01, 0.02
MEDIAN_WORDS: Final = "max(1 ms, 5%)"
TAIL_WORDS: Final = "max(2 ms, 15%)"
Table = Mapping[str, Any]


def short_of(one: Table) -> list[str]:
    """In words, which targets a fault misses; nothing where it was not scored."""
    if not one["scored"]:
        return []
    found = []
    if one["cause"] < CAUSE:
        taken = ", ".join(f"{name} {count}×" for name, count in one["taken_for"].items())
        found.append(f"cause first in {one['cause']:.0%} (told instead: {taken})")
    if one["culprit"] is not None and one["culprit"] < CULPRIT:
        found.append(f"culprit named in {one['culprit']:.0%}")
    if one["place"] is not None and one["place"] < CULPRIT:
        found.append(f"its place in {one['place']:.0%}")
    if one["of_target_p50"] > 1:
        found.append(f"median error {one['error_ms_p50']:.2f} ms ({one['error_share_p50']:.0%})")
    if one["of_target_p95"] > 1:
        found.append(f"p95 error {one['error_ms_p95']:.2f} ms ({one['error_share_p95']:.0%})")
    if one["unexplained_p50"] > UNEXPLAINED:
        found.append(f"unexplained {one['unexplained_p50']:.0%} at the median")
    return found


def reached(told: Table) -> list[tuple[str, str, str, bool]]:
    """The whole against the targets: what, target, found, whether it is reached."""
    scored = [one for one in told["faults"].values() if one["scored"]]
    median = sum(one["of_target_p50"] <= 1 for one in scored)
    tail = sum(one["of_target_p95"] <= 1 for one in scored)
    whole, pairs, nulls = told["all"], told["pairs"], told["nulls"]
    many = len(scored)
    return [
        _least("single cause named first", CAUSE, whole["cause"]),
        _least("both of a pair named first", PAIRS, pairs["both"]),
        _least("culprit named", CULPRIT, whole["culprit"]),
        _least("its file and line named", CULPRIT, whole["place"]),
        (f"median error ≤ {MEDIAN_WORDS}", "every fault", f"{median} of {many} faults", median == many),
        (f"p95 error ≤ {TAIL_WORDS}", "every fault", f"{tail} of {many} faults", tail == many),
        _most("healthy services accused", NULLS, nulls["cells_accused_falsely"]),
        _most("`unexplained`, median", UNEXPLAINED, whole["unexplained_p50"]),
    ]


def _least(what: str, target: float, found: float | None) -> tuple[str, str, str, bool]:
    return (what, f"≥ {target:.0%}", _share(found), found is not None and found >= target)


def _most(what: str, target: float, found: float | None) -> tuple[str, str, str, bool]:
    return (what, f"≤ {target:.0%}", _share(found), found is not None and found <= target)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
