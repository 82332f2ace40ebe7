"""Follows the holders to the end: those who had what a request waited for may have waited behind others in turn.

request    |~~~~~~~~~~ waits for a worker ~~~~~~~~~~|
worker     |~~~~ waits for a lock ~~~~|--computes---|
holder     |~~~~ waits for the GIL ~~~|                 the GIL, and computing, are what the request waited for
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from whywait.analysis.causes import Cause, Evidence
from whywait.analysis.situations.holders.holders import Holders
from whywait.analysis.situations.holders.what_holders_did import FOLLOWED
from whywait.analysis.situations.thresholds import MIN_KNOWN


@dataclass(frozen=True, slots=True)
class Meanwhile:
    """What the holders did during a part of a wait behind them."""

    cause: Cause | None  # None: not known
    ns: int
    evidence: Evidence


def by_cause(parts: Iterable[Meanwhile]) -> "Counter[Cause]":
    """Return what is known of what the holders did, ns by cause."""
    sums: Counter[Cause] = Counter()
    for part in parts:
        if part.cause:
            sums[part.cause] += part.ns
    return sums


Key = tuple[str, str]  # a cause, "" where it is not known, and the evidence
Shares = dict[Key, float]


def meanwhile(holders: Holders, endpoint: str, cause: Cause, wait_ns: int) -> tuple[Meanwhile, ...]:
    """Return what the holders did during this wait, at the end of the chain, longest first; the parts sum to `wait_ns`.
    () where nobody is followed. A chain that comes back to a wait that it has passed ends there,
    and one where little is known of the next holders."""
    ends = sorted(_ends(holders, holders.behind(endpoint, cause), (cause,)).items(), key=lambda one: -one[1])
    if not any(did for (did, _), _ in ends):
        return ()
    upto = np.rint(np.cumsum([share for _, share in ends]) * wait_ns).astype(np.int64)
    upto[-1] = wait_ns
    parts = np.diff(upto, prepend=0)
    return tuple(
        Meanwhile(Cause(did) if did else None, int(ns), Evidence(evidence or Evidence.INFERRED))
        for ((did, evidence), _), ns in zip(ends, parts, strict=True) if ns
    )  # fmt: skip


def _ends(holders: Holders, own: pd.DataFrame, passed: tuple[str, ...]) -> Shares:
    found: Shares = defaultdict(float)
    total = float(own["ns"].sum())
    rows: list[dict[Any, Any]] = own.to_dict("records") if total > 0 else []
    for row in rows:
        did, doing, evidence = row["did"], row["doing"], row["evidence"]
        share, every = row["ns"] / total, own[:0]
        if did in FOLLOWED and did not in passed:
            every = holders.of(did, doing)
        further = every[every["did"] != ""]
        if further.empty or further["ns"].sum() < MIN_KNOWN * every["ns"].sum():
            found[did, evidence] += share
            continue
        for (end, _), part in _ends(holders, further, (*passed, did)).items():
            found[end, str(Evidence.INFERRED)] += share * part  # of others' waits for the same thing
    return found
