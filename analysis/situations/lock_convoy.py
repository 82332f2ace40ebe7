"""Lock convoys: many threads wait for one lock, which passes from one to the next; also inside a native library, whose
threads run one call at a time."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from whywait.analysis.attribution.culprit_names import positive_ns, rows_of
from whywait.analysis.attribution.details import lock_name, slept_in
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.what_helps import NATIVE, called, look_up
from whywait.tracer.schema import (
    CALL_OF,
    CALL_PACKAGE,
    CALLED,
    CPU_WANTED_NATIVE,
    LOCK_HOLDS,
    LOCK_KIND,
    LOCK_KIND_IMPORT,
    LOCK_KIND_SUBMIT,
    LOCK_WAITERS,
    RAN,
)

MANY: Final = 3  # waiting threads, or successive holders: from this number on a wait was in a convoy
MIN_SHARE: Final = 0.5  # of the time waited for the lock
_NATIVE_MILLI: Final = 300  # native threads that ran or wanted to meanwhile, in thousandths, on average


def lock_convoy(group: Group) -> Iterator[Pattern]:
    """Yield the situations of the lock with the longest waits."""
    waits = group.of(Cause.LOCK_WAIT)
    if waits.empty:
        return
    yield from _native(group)
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


def _native(group: Group) -> Iterator[Pattern]:
    """Where calls computed, and then slept while native threads of the process ran: several at once queue for those. One
    that waits alone waits for what they compute for it."""
    found = group.most_of(Cause.LOCK_WAIT, _beside_native_threads)
    if found.empty:
        return
    edges = np.array(sorted([*((at, 1) for at in found["start_ns"]), *((at, -1) for at in found["end_ns"])]))
    at_once, took_ns = np.cumsum(edges[:, 1]), np.diff(edges[:, 0], append=edges[-1, 0])
    if took_ns[at_once > 1].sum() >= MIN_SHARE * took_ns.sum():
        (longest,) = group.attributes_of(found.nlargest(1, "amount_ns"))
        how = look_up(NATIVE, called(longest, CALL_OF, CALL_PACKAGE))
        yield Pattern(
            Situation.NATIVE_QUEUE, None, {"most": int(at_once.max()), "where": slept_in(longest), "how": how}
        )


def _beside_native_threads(attributes: dict[str, Any]) -> bool:
    computed, slept = (next(iter(rows_of(attributes, one)), None) for one in (RAN, CALLED))
    is_native = computed is not None and slept is not None and computed[:3] == slept[:3] and LOCK_KIND not in attributes
    return is_native and positive_ns(attributes.get(CPU_WANTED_NATIVE)) >= _NATIVE_MILLI


def _counts(rows: pd.DataFrame, key: str) -> "pd.Series[Any]":
    return rows["of"].map(lambda attributes: n if isinstance(n := attributes.get(key), int) else 0)
