"""GIL starvation by an event loop that never idles.

A loop that always has a next callback ready polls for new events without waiting, and each poll releases the
GIL only for a moment. A thread that waits for the GIL is woken too late, and restarts its wait with a new switch
interval, so that it never forces the loop to release the GIL (from CPython's source, and measured: a no-op in
the executor takes seconds). Code that computes all the time behaves differently: it is forced to release the GIL
at every switch interval.
"""

from collections.abc import Iterator
from typing import Any, Final

from whywait.analysis.attribution.culprit_names import is_users
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.analysis.situations.what_helps import HAND_BACK_LESS, HAND_LESS, LESS_PYTHON
from whywait.analysis.text import named_at
from whywait.tracer.schema import GIL_NS, HOLDER_TURNING_NS, PICKLING, UNPICKLING

LONG_NS: Final = 50_000_000  # ten times the interpreter's switch interval
MIN_SHARE: Final = 0.5  # of the time waited for the GIL
_HANDED: Final = {PICKLING: HAND_LESS, UNPICKLING: HAND_BACK_LESS}
_LOOP_SHARE: Final = 0.6  # of one wait, during which such a loop held the GIL


def gil_starvation(group: Group) -> Iterator[Pattern]:
    """Yield the long waits for the GIL where such a loop caused most of them."""
    every = group.of(Cause.GIL_WAIT)
    waits = every[every["amount_ns"] >= LONG_NS]
    starved = waits.loc[[_is_starved(attributes) for attributes in group.attributes_of(waits)]]
    if len(starved) and starved["amount_ns"].sum() >= MIN_SHARE * every["amount_ns"].sum():
        found = {"waits": len(starved), "longest_ns": int(starved["amount_ns"].max())}
        yield Pattern(Situation.GIL_STARVATION, None, found)


def gil_held(group: Group) -> Iterator[Pattern]:
    """Yield the user's function that had the GIL for most of what these requests waited for it."""
    every = group.of(Cause.GIL_WAIT)
    if every.empty:
        return
    named = group.culprits_of(Cause.GIL_WAIT)
    named = named.loc[list(map(is_users, named["culprit_file"]))]
    sums = named.groupby(["culprit", "culprit_file"])["ns"].sum()
    if sums.max() >= MIN_HELD * every["amount_ns"].sum():
        chief: Any = sums.idxmax()
        name, file = map(str, chief)
        own = named[(named["culprit"] == name) & (named["culprit_file"] == file)]
        lines = own.groupby("culprit_line")["ns"].sum()
        at = named_at(name, file, lines.idxmax() if len(lines) else None)
        what = next(filter(name.startswith, _HANDED), "")
        how = _HANDED.get(what, LESS_PYTHON).format(job=name.removeprefix(what), culprit=at)
        yield Pattern(Situation.GIL_HELD, Cause.GIL_WAIT, {"culprit": at, "how": how})


def _is_starved(attributes: dict[str, object]) -> bool:
    waited, turning = attributes.get(GIL_NS), attributes.get(HOLDER_TURNING_NS)
    return isinstance(waited, int) and isinstance(turning, int) and turning >= _LOOP_SHARE * waited
