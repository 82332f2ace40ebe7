"""A large share of the time is unexplained."""

from collections.abc import Iterator

from whywait.analysis.causes import Cause
from whywait.analysis.grouped import sums
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_MEAN_NS, UNSURE_SHARE
from whywait.analysis.situations.what_helps import called, does_less
from whywait.tracer import schema


def unexplained(group: Group) -> Iterator[Pattern]:
    """Yield the unexplained amount with the detail of most of it, from UNSURE_SHARE and MIN_MEAN_NS on, and how the library
    that is called there would do less, where that is known."""
    mean_ns, share = (of.get(Cause.UNEXPLAINED, 0.0) for of in (group.means, group.shares))
    if share >= UNSURE_SHARE and mean_ns >= MIN_MEAN_NS:
        own = group.causes[group.causes["cause"] == Cause.UNEXPLAINED]
        by_detail = sums(own["detail"], own["amount_ns"])
        detail = max(by_detail, key=by_detail.__getitem__, default="")
        found = {"mean_ns": mean_ns, "share": share, "detail": detail, "less": ""}
        chief = own[own["detail"] == detail]
        span_id = chief["span_id"].iloc[int(chief["amount_ns"].argmax())].rpartition("/")[2] if len(chief) else ""
        for at in group.own_spans.loc[group.own_spans["span_id"] == span_id, "attributes"].head(1):
            found["less"] = does_less(called(at), at.get(schema.CODE_FUNCTION))
        yield Pattern(Situation.UNEXPLAINED, None, found)
