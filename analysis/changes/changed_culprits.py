"""The culprit whose share of a cause changed most between two runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from whywait.analysis.text import place


@dataclass(frozen=True, slots=True)
class Mover:
    """A culprit, and what it cost a request on average at the percentile, before and after."""

    name: str
    place: str  # "folder/file.py:12", "" where unknown
    before_ns: int
    after_ns: int


def chief_movers(
    before: tuple[pd.DataFrame, float], after: tuple[pd.DataFrame, float], deltas_ns: Mapping[str, int]
) -> dict[str, Mover]:
    """Return by cause the culprit whose share changed most in the direction of the cause. A side: weighted culprits
    (CULPRIT_COLUMNS), and how many requests they stand for."""
    keys = ["cause", "culprit", "culprit_file"]
    means = pd.concat(
        [_means(rows, count, keys).rename(side) for (rows, count), side in ((before, "before"), (after, "after"))],
        axis=1,
    ).fillna(0.0)  # fmt: skip
    lines = pd.concat([after[0], before[0]]).drop_duplicates(keys).set_index(keys)["culprit_line"]
    found: dict[str, Mover] = {}
    for cause, delta_ns in deltas_ns.items():
        if cause not in means.index.get_level_values("cause"):
            continue
        own = means.loc[cause]
        moved = (own["after"] - own["before"]) * (1 if delta_ns > 0 else -1)
        at = int(moved.to_numpy().argmax())
        if moved.iloc[at] > 0:
            name, file = map(str, own.index[at])
            line = lines.get((cause, name, file))
            known = int(line) if pd.notna(line) else None
            before_ns, after_ns = (round(float(own[side].iloc[at])) for side in ("before", "after"))
            found[cause] = Mover(name, place(file, known), before_ns, after_ns)
    return found


def _means(rows: pd.DataFrame, count: float, keys: list[str]) -> "pd.Series[float]":
    named = rows[rows["culprit"] != ""]
    return named.groupby(keys, observed=True)["ns"].sum() / count
