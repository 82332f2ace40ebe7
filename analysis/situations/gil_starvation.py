"""GIL starvation by an event loop that never idles.

A loop that always has a next callback ready looks for new events without waiting, and each look lets go of
the GIL for a moment only. A thread that waits for the GIL is told, wakes too late, and begins its wait anew
with a fresh switch interval, so that it never makes the loop drop the GIL (read in CPython's source, and
measured: a no-op in the executor takes seconds). A plain hog is another matter: it is made to drop the GIL
at every switch interval.
"""

from typing import Final

import pandas as pd

from whywait.analysis.causes import Cause
from whywait.tracer.schema import GIL_NS, HOLDER_TURNING_NS

LONG_NS: Final = 50_000_000  # ten times the interpreter's switch interval
MIN_SHARE: Final = 0.5
REMEDY: Final = (
    "Let the loop idle: pause what keeps it busy (await asyncio.sleep(0.001) instead of sleep(0)); or call "
    "sys.setswitchinterval(0.0002), which ends this at once."
)


def starvation(causes: pd.DataFrame, spans: pd.DataFrame) -> str:
    """Return a sentence on the waits of one endpoint that such a loop starved, or "" where it starved none."""
    waits = causes[(causes["cause"] == Cause.GIL_WAIT) & (causes["amount_ns"] >= LONG_NS)]
    if waits.empty:
        return ""
    attributes = dict(zip(spans["span_id"], spans["attributes"], strict=True))
    starved = waits[[_is_starved(attributes.get(span_id, {})) for span_id in waits["span_id"]]]
    all_ns = int(causes.loc[causes["cause"] == Cause.GIL_WAIT, "amount_ns"].sum())
    if starved.empty or int(starved["amount_ns"].sum()) < MIN_SHARE * all_ns:
        return ""
    return (
        f"GIL starvation by a loop that never idles: {len(starved)} time(s) a thread waited for the GIL, for up to "
        f"{starved['amount_ns'].max() / 1e6:,.0f} ms at once, while the event loop ran one short callback after "
        "the other and never slept."
    )


def _is_starved(attributes: dict[str, object]) -> bool:
    waited, turning = attributes.get(GIL_NS), attributes.get(HOLDER_TURNING_NS)
    return isinstance(waited, int) and isinstance(turning, int) and turning >= 0.6 * waited
