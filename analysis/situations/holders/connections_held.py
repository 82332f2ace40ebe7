"""Requests wait for a connection of a pool while others hold all of them: how it is enlarged, and where they are held."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.text import place
from whywait.tracer.schema import POOL_KNOB, POOL_SIZE


@dataclass(frozen=True, slots=True)
class ConnectionsHeld:
    """The pool with the longest waits."""

    kind: ClassVar = Situation.CONNECTIONS_HELD
    knob: str  # what enlarges it, in the words of its library
    size: int
    holder: str  # where most of the time passed in which its connections were held
    share: float  # of the waits


def connections_held(group: Group) -> Iterator[ConnectionsHeld]:
    """Yield the pool that these requests wait for longest, and the code that holds its connections."""
    waits = group.of(Cause.CONNECTION_WAIT)
    named = group.culprits[group.culprits["cause"] == Cause.CONNECTION_WAIT]
    found = pd.DataFrame(group.attributes_of(waits), index=waits.index).reindex(columns=[POOL_KNOB, POOL_SIZE])
    by_pool = waits["amount_ns"].groupby([found[POOL_KNOB], found[POOL_SIZE]]).sum()
    if by_pool.empty or named.empty:
        return
    pool: Any = by_pool.idxmax()
    by_place = named.fillna({"culprit_line": 0}).groupby(["culprit", "culprit_file", "culprit_line"])["ns"].sum()
    at: Any = by_place.idxmax()
    where = place(at[1], int(at[2]))
    holder = f"{at[0]} ({where})" if where else str(at[0])
    yield ConnectionsHeld(
        str(pool[0]), int(pool[1]), holder, float(by_place.max()) / max(int(waits["amount_ns"].sum()), 1)
    )
