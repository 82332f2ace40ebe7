"""Lock convoys: many threads in line for one lock, which passes from one to the next."""

from typing import Any, Final

import pandas as pd

from whywait.analysis.attribution.details import lock_name
from whywait.analysis.causes import Cause
from whywait.tracer.schema import LOCK_HOLDS, LOCK_WAITERS

MANY: Final = 3  # threads in line, or holders one after the other, from which a wait was in a convoy
MIN_SHARE: Final = 0.5  # of the time waited for the lock


def lock_convoy(causes: pd.DataFrame, spans: pd.DataFrame) -> str:
    """Return a sentence on the lock most waited for, where its waits stood in a convoy; else ""."""
    waits = causes[causes["cause"] == Cause.LOCK_WAIT]
    if waits.empty:
        return ""
    attributes = dict(zip(spans["span_id"], spans["attributes"], strict=True))
    found = waits.assign(of=[attributes.get(span_id, {}) for span_id in waits["span_id"]])
    by_lock = found.groupby("detail")["amount_ns"].sum()
    chief = found[found["detail"] == by_lock.idxmax()]
    in_line, holders = chief["of"].map(_of(LOCK_WAITERS)), chief["of"].map(_of(LOCK_HOLDS))
    inside = (in_line >= MANY) | (holders >= MANY)
    share = float(chief.loc[inside, "amount_ns"].sum()) / max(float(chief["amount_ns"].sum()), 1.0)
    if share < MIN_SHARE:
        return ""
    return (
        f"A lock convoy: up to {int(in_line.max())} threads at once were in line for the "
        f"{lock_name(chief['of'].iloc[0])}, and it passed through up to {int(holders.max())} holders while "
        "one waited."
    )


def _of(key: str) -> Any:
    def number(attributes: dict[str, Any]) -> int:
        value = attributes.get(key)
        return value if isinstance(value, int) else 0

    return number
