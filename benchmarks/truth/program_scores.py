"""How generated programs were attributed: each request's known amounts against what was told. Pure.

Whether the loop ran another request or this one's other branches is one and the same here: `collect_order` is
taken as `loop_busy`. A program fails when more of its wall time than the allowance stands under wrong causes, or
when one cause clearly leads and another was told first. Only what was measured can be missed; only waits can be
told too much, since the rest of the wall time was not measured.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from benchmarks.truth import usable
from whywait.analysis.causes import Cause

ALLOWED_SHARE, ALLOWED_NS = 0.10, 3_000_000
LEADS: Final = 0.2  # of the wall time, by which the first true cause is larger than the second
_NOT_WAITS: Final = {
    Cause.COMPUTE,
    Cause.UNEXPLAINED,
    Cause.CPU_WAIT,
    Cause.GIL_WAIT,
    Cause.GC_PAUSE,
    Cause.LOOP_WAKEUP,
}
_SAME: Final = {str(Cause.COLLECT_ORDER): str(Cause.LOOP_BUSY)}


def wrong_ns(record: Mapping[str, Any]) -> int:
    """Known time told to be something else, or told too much of, whichever is more."""
    true, told = _true(record), _told(record)
    missed = sum(max(ns - told.get(cause, 0), 0) for cause, ns in true.items())
    too_much = sum(max(ns - true.get(cause, 0), 0) for cause, ns in told.items() if cause not in _NOT_WAITS)
    return max(missed, too_much)


def is_right(record: Mapping[str, Any]) -> bool:
    """Whether a program's request was attributed within the allowance, its first cause first."""
    true, told, wall_ns = _true(record), _told(record), record["wall_ns"]
    if wrong_ns(record) > max(ALLOWED_NS, ALLOWED_SHARE * wall_ns):
        return False
    first, second = (*sorted(true.values(), reverse=True), 0, 0)[:2]
    leads = first - second >= LEADS * wall_ns
    return not leads or max(told, key=lambda cause: told[cause]) == max(true, key=lambda cause: true[cause])


def score_programs(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Requests right, how much time was wrong, and the seeds that failed."""
    scored = [one for one in records if one["found"]]
    failed = sorted({(int(one["name"]), one["loop"]) for one in scored if not is_right(one)})
    shares = [wrong_ns(one) / one["wall_ns"] for one in scored]
    return {
        "programs": len({one["name"] for one in scored}),
        "scored": len(scored),
        "lost": len(records) - len(scored),
        "right": sum(map(is_right, scored)) / len(scored) if scored else None,
        "wrong_share_p50": float(np.percentile(shares, 50)) if shares else None,
        "wrong_share_p95": float(np.percentile(shares, 95)) if shares else None,
        "unexplained_p50": _unexplained(scored),
        "failed": [f"--seed {seed} --loop {loop}" for seed, loop in failed],
    }


def _unexplained(scored: Sequence[Mapping[str, Any]]) -> float | None:
    shares = [_told(one).get(Cause.UNEXPLAINED, 0) / one["wall_ns"] for one in scored]
    return float(np.percentile(shares, 50)) if shares else None


def _true(record: Mapping[str, Any]) -> dict[str, int]:
    return _summed((one.cause, one.ns) for one in usable.parts_of(record))


def _told(record: Mapping[str, Any]) -> dict[str, int]:
    return _summed((cause, one["ns"]) for cause, one in record["causes"].items())


def _summed(amounts: Any) -> dict[str, int]:
    found: dict[str, int] = defaultdict(int)
    for cause, ns in amounts:
        found[_SAME.get(str(cause), str(cause))] += ns
    return dict(found)
