"""What the benchmark asks for, and which faults fall short of it. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from whywait.tracer.probes.requests.tcp_info import TICK_NS

CAUSE, PAIRS, CULPRIT, NULLS, UNEXPLAINED = 0.98, 0.90, 0.95, 0.01, 0.02
# the kernel tells in ticks when data came
FELT_P50_NS, FELT_P95_NS = 1_000_000 + TICK_NS, 3 * TICK_NS
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
    felt = told["felt"]["all"]
    return [
        _within("felt time against the client's clock, median error", FELT_P50_NS, felt["error_ms_p50"]),
        _within("the same, p95", FELT_P95_NS, felt["error_ms_p95"]),
        _all("windows that their causes fill to the nanosecond", felt["conserved"], felt["requests"]),
        _least("single cause named first", CAUSE, whole["cause"]),
        _least("both of a pair named first", PAIRS, pairs["both"]),
        _least("culprit named", CULPRIT, whole["culprit"]),
        _least("its file and line named", CULPRIT, whole["place"]),
        _all(f"faults with a median error ≤ {MEDIAN_WORDS}", median, many),
        _all(f"faults with a p95 error ≤ {TAIL_WORDS}", tail, many),
        _most("healthy services accused", NULLS, nulls["cells_accused_falsely"]),
        _most("`unexplained`, median", UNEXPLAINED, whole["unexplained_p50"]),
    ]


def _least(what: str, target: float, found: float | None) -> tuple[str, str, str, bool]:
    return (what, f"≥ {target:.0%}", _share(found), found is not None and found >= target)


def _most(what: str, target: float, found: float | None) -> tuple[str, str, str, bool]:
    return (what, f"≤ {target:.0%}", _share(found), found is not None and found <= target)


def _all(what: str, found: int, of: int) -> tuple[str, str, str, bool]:
    return (what, "all", f"{found} of {of}", found == of > 0)


def _within(what: str, target_ns: float, found_ms: float | None) -> tuple[str, str, str, bool]:
    target_ms = target_ns / 1e6
    found = "–" if found_ms is None else f"{found_ms:.2f} ms"
    return (what, f"≤ {target_ms:.0f} ms", found, found_ms is not None and found_ms <= target_ms)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
