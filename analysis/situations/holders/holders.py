"""The table of what holders did, by what is asked of it."""

from functools import cached_property
from typing import Any, Final

import pandas as pd

from whywait.analysis.attribution.culprit_names import in_library
from whywait.analysis.causes import Cause
from whywait.analysis.grouped import sums
from whywait.analysis.situations.thresholds import MIN_HELD

DOES_ITSELF: Final = (Cause.COMPUTE, Cause.BLOCKING_IO, Cause.AWAIT_IO, Cause.REQUEST_IO)


class Holders:
    """`all`: as `what_holders_did` returns it. What is found out of it, is found out once."""

    def __init__(self, table: pd.DataFrame) -> None:
        self.all = table

    def behind(self, endpoint: str, cause: Cause) -> pd.DataFrame:
        """Return the rows of an endpoint's waits of a cause."""
        return self._by_group.get((endpoint, cause), self.all[:0])

    def of(self, cause: str, detail: str) -> pd.DataFrame:
        """Return the rows of all waits of a cause for one thing."""
        return self._by_thing.get((cause, detail), self.all[:0])

    @cached_property
    def _by_group(self) -> dict[Any, pd.DataFrame]:
        return dict(iter(self.all.groupby(["endpoint", "cause"], sort=False)))

    @cached_property
    def _by_thing(self) -> dict[Any, pd.DataFrame]:
        return dict(iter(self.all.groupby(["cause", "detail"], sort=False)))


def stood_in(behind: pd.DataFrame) -> tuple[str, str, int | None] | None:
    """The user's function in which those ahead stood for most of such a wait, and did there what it does itself.

    It is seldom the one that took the lock, or that was handed to the pool.
    """
    if behind.empty:
        return None
    own = behind[behind["did"].isin(DOES_ITSELF) & (behind["stood_file"] != "") & ~behind["stood_file"].map(in_library)]
    by_name = sums(own["stood"], own["ns"])
    name = max(by_name, key=by_name.__getitem__, default="")
    if not name or by_name[name] < MIN_HELD * behind["ns"].sum():
        return None
    return name, *most_place(own[own["stood"] == name], "stood")


def most_place(rows: pd.DataFrame, whose: str) -> tuple[str, int | None]:
    """The file and line of most of these rows' time."""
    lines = [None if pd.isna(line) else int(line) for line in rows[f"{whose}_line"].tolist()]
    by_place = sums(zip(rows[f"{whose}_file"], lines, strict=True), rows["ns"])
    return max((one for one in by_place if one[0]), key=by_place.__getitem__, default=("", None))
