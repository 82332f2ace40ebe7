"""All spans, of which those of some traces are found without a look at the others."""

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

Found = TypeVar("Found")


class ByTrace:
    """`all`: SPAN_COLUMNS. What is found out of it, is found out once."""

    def __init__(self, spans: pd.DataFrame) -> None:
        self.all = spans
        self._found: dict[Any, Any] = {}

    def of(self, trace_ids: Iterable[Any]) -> pd.DataFrame:
        """Return the spans of these traces, in the order of all."""
        known = self._rows
        found = [rows for one in dict.fromkeys(trace_ids) if (rows := known.get(one)) is not None]
        return self.all.iloc[np.sort(np.concatenate(found)) if found else []]

    def with_ids(self, span_ids: Iterable[str]) -> pd.DataFrame:
        """Return the spans of these ids, in the order of all."""
        wanted = pd.Index([*dict.fromkeys(span_ids)], dtype=self._ids.dtype)
        at = self._ids.get_indexer(wanted) if self._ids.is_unique else self._ids.get_indexer_non_unique(wanted)[0]
        return self.all.iloc[np.sort(at[at >= 0])]

    def once(self, find: Callable[[pd.DataFrame], Found]) -> Found:
        """Return what this function, of a module, finds in all of them; it is called once."""
        if find not in self._found:
            self._found[find] = find(self.all)
        found: Found = self._found[find]
        return found

    def __contains__(self, trace_id: object) -> bool:
        return trace_id in self._rows

    @cached_property
    def _rows(self) -> dict[Any, Any]:  # arrays of positions
        found: dict[Any, Any] = self.all.groupby("trace_id", sort=False).indices
        return found

    @cached_property
    def _ids(self) -> "pd.Index[str]":
        ids: pd.Index[str] = pd.Index(self.all["span_id"])
        return ids
