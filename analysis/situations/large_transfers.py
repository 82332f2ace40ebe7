"""Much of the time passes in handing objects to worker processes: pickled, piped, unpickled, and the result back."""

from collections.abc import Iterator
from typing import Final

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_MEAN_NS
from whywait.tracer import schema

COSTLY: Final = 0.1  # of the requests' time
_PHASES: Final = rf"^(?:({schema.PICKLING}|{schema.UNPICKLING_THERE}|{schema.UNPICKLING})|{schema.SENDING}|{schema.RECEIVING})(?P<job>.+)$"


def large_transfers(group: Group) -> Iterator[Pattern]:
    """Yield the job whose objects took longest on their way, where that is a large part of the requests' time; for their
    queue too, where that is a large part of what those ahead do."""
    by_name = group.causes.groupby("span_name")["amount_ns"].sum()
    found = by_name.index.to_series().str.extract(_PHASES).assign(ns=by_name)
    found = found[found["job"].notna()]
    mean_ns = float(found["ns"].sum()) / group.count
    if mean_ns < max(MIN_MEAN_NS, COSTLY * group.mean_wall_ns):
        return
    job = str(found.groupby("job")["ns"].sum().idxmax())
    pickled_ns = float(found.loc[found[0].notna(), "ns"].sum()) / group.count
    numbers = {"job": job, "mean_ns": mean_ns, "pickled_ns": pickled_ns, "piped_ns": mean_ns - pickled_ns}
    itself_ns = float(by_name.get(job, 0)) / group.count
    queue = (Cause.POOL_QUEUE,) if mean_ns > itself_ns / 2 else ()
    for cause in (Cause.COMPUTE, Cause.BLOCKING_IO, *queue):
        yield Pattern(Situation.LARGE_TRANSFER, cause, numbers)
