"""The table of what holders did, by what is asked of it."""

from functools import cached_property
from typing import Any

import pandas as pd

from whywait.analysis.causes import Cause


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
