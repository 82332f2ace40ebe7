"""What the tracer itself took of the requests' time: its threads had the GIL, or a CPU, that these waited for.

It makes no cause a reason: without tracing it would not be there.
"""

from collections.abc import Iterator

from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_MEAN_NS, MIN_SHARE
from whywait.tracer import schema


def own_work(group: Group) -> Iterator[Pattern]:
    """Yield it from where any other cause would be a reason, ns per request."""
    ns = float(group.culprits.loc[group.culprits["culprit"] == schema.OWN_WORK, "ns"].sum()) / group.count
    if ns >= max(MIN_MEAN_NS, MIN_SHARE * group.mean_wall_ns):
        yield Pattern(Situation.OWN_WORK, None, {"mean_ns": ns, "share": ns / group.mean_wall_ns})
