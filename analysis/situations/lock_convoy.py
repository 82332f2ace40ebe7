"""Lock convoys: many threads wait for one lock, which passes from one to the next."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import pandas as pd

from whywait.analysis.attribution.details import lock_name
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation
from whywait.tracer.schema import LOCK_HOLDS, LOCK_KIND, LOCK_KIND_IMPORT, LOCK_KIND_SUBMIT, LOCK_WAITERS

MANY: Final = 3  # waiting threads, or successive holders: from this number on a wait was in a convoy
MIN_SHARE: Final = 0.5  # of the time waited for the lock


@dataclass(frozen=True, slots=True)
class LockConvoy:
    """The lock with the longest waits, which were in a convoy."""

    kind: ClassVar = Situation.LOCK_CONVOY
    lock: str
    most_waiting: int  # threads at once
    most_holders: int  # while one waited
    share: float  # of the time waited for this lock


@dataclass(frozen=True, slots=True)
class SubmitLock:
    """The lock with the longest waits is the one that every submit of every thread pool acquires."""

    kind: ClassVar = Situation.SUBMIT_LOCK
    share: float  # of the time waited for locks


@dataclass(frozen=True, slots=True)
class ImportLock:
    """The lock with the longest waits is Python's own of a module that another thread imports."""

    kind: ClassVar = Situation.IMPORT_LOCK
    module: str
    share: float  # of the time waited for locks


def lock_convoy(group: Group) -> Iterator[LockConvoy | SubmitLock | ImportLock]:
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
        yield SubmitLock(of_all)
    elif kind.startswith(LOCK_KIND_IMPORT):
        yield ImportLock(kind.removeprefix(LOCK_KIND_IMPORT), of_all)
    waiting, holders = _counts(chief, LOCK_WAITERS), _counts(chief, LOCK_HOLDS)
    inside = (waiting >= MANY) | (holders >= MANY)
    share = float(chief.loc[inside, "amount_ns"].sum()) / max(float(chief["amount_ns"].sum()), 1.0)
    if share >= MIN_SHARE:
        yield LockConvoy(name, int(waiting.max()), int(holders.max()), share)


def _counts(rows: pd.DataFrame, key: str) -> "pd.Series[Any]":
    return rows["of"].map(lambda attributes: n if isinstance(n := attributes.get(key), int) else 0)
