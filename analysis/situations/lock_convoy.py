"""Lock convoys: many threads wait for one lock, which passes from one to the next."""

from collections.abc import Iterator
from typing import Any, Final

import pandas as pd

from whywait.analysis.attribution.details import lock_name
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.tracer.schema import LOCK_HOLDS, LOCK_KIND, LOCK_KIND_IMPORT, LOCK_KIND_SUBMIT, LOCK_WAITERS

MANY: Final = 3  # waiting threads, or successive holders: from this number on a wait was in a convoy
MIN_SHARE: Final = 0.5  # of the time waited for the lock


def lock_convoy(group: Group) -> Iterator[Pattern]:
    """Yield the situations of the lock with the longest waits."""
    waits = group.of(Cause.LOCK_WAIT)
    if waits.empty:
        return
    attributes = pd.Series(group.attributes_of(waits), index=waits.index)
    found = waits.assign(of=attributes, lock=attributes.map(lock_name))
    by_lock = found.groupby("lock")["amount_ns"].sum()
    name = str(by_lock.idxmax())
    chief = found[found["lock"] == name]
    kind, of_all = str(chief["of"].iloc[0].get(LOCK_KIND)), float(by_lock.max() / by_lock.sum())
    if kind == LOCK_KIND_SUBMIT:
        yield Pattern(Situation.SUBMIT_LOCK, None, {"share": of_all})
    elif kind.startswith(LOCK_KIND_IMPORT):
        module = kind.removeprefix(LOCK_KIND_IMPORT)
        yield Pattern(Situation.IMPORT_LOCK, None, {"module": module, "share": of_all})
    waiting, holders = _counts(chief, LOCK_WAITERS), _counts(chief, LOCK_HOLDS)
    inside = (waiting >= MANY) | (holders >= MANY)
    share = float(chief.loc[inside, "amount_ns"].sum()) / max(float(chief["amount_ns"].sum()), 1.0)
    if share >= MIN_SHARE:
        most = {"most_waiting": int(waiting.max()), "most_holders": int(holders.max())}  # at once; while one waited
        yield Pattern(Situation.LOCK_CONVOY, None, {"lock": name, **most, "share": share})


def _counts(rows: pd.DataFrame, key: str) -> "pd.Series[Any]":
    return rows["of"].map(lambda attributes: n if isinstance(n := attributes.get(key), int) else 0)
