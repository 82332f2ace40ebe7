"""Whose part in a cause changed most between two runs."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from analysis.describe import place


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
    """Return by cause the culprit whose part changed most in the direction of the cause's own difference.

    Each side is CULPRIT_COLUMNS of some requests, weighted, and how many requests these stand for.
    """
    keys = ["cause", "culprit", "culprit_file"]
    means = pd.concat(
        [_means(rows, count, keys).rename(side) for (rows, count), side in ((before, "before"), (after, "after"))],
        axis=1,
    ).fillna(0.0)  # fmt: skip
    lines = pd.concat([after[0], before[0]]).drop_duplicates(keys).set_index(keys)["culprit_line"]
    found: dict[str, Mover] = {}
    means["delta"] = means["after"] - means["before"]
    for cause, rows in means.groupby(level="cause"):
        way = 1 if deltas_ns.get(str(cause), 0) > 0 else -1
        chief = (rows["delta"] * way).idxmax()
        if rows.loc[chief, "delta"] * way > 0:
            _, name, file = chief
            line = lines.get(chief)
            found[str(cause)] = Mover(
                str(name), place(file, None if line is None or pd.isna(line) else int(line)),
                round(rows.loc[chief, "before"]), round(rows.loc[chief, "after"]),
            )  # fmt: skip
    return found


def _means(rows: pd.DataFrame, count: float, keys: list[str]) -> "pd.Series[float]":
    named = rows[rows["culprit"] != ""]
    return named.groupby(keys, observed=True)["ns"].sum() / count
