"""Much of the time passes in handing objects to worker processes: pickled, piped, unpickled, and the result back."""

from collections.abc import Iterator
from typing import Final

from whywait.analysis.causes import Cause
from whywait.analysis.model import attribute, span_id_of
from whywait.analysis.situations.situation import Group, Pattern, Situation
from whywait.analysis.situations.thresholds import MIN_MEAN_NS
from whywait.analysis.situations.what_helps import HAND_BACK_LESS, HAND_LESS
from whywait.tracer import schema

COSTLY: Final = 0.1  # of the requests' time


def large_transfers(group: Group) -> Iterator[Pattern]:
    """Yield the job whose objects took longest on their way, where that is a large part of the requests' time; for their
    queue too, where that is a large part of what those ahead do."""
    spans = group.own_spans
    kinds = attribute(spans, schema.KIND)
    parts = spans[kinds.isin([schema.KIND_PHASE, schema.KIND_RUN])]
    parts = parts.assign(way=attribute(parts, schema.TRANSFER))
    if not parts["way"].any():
        return
    parts = parts.loc[(kinds == schema.KIND_RUN) | (parts["way"] != ""), ["trace_id", "span_id", "way"]]
    own = group.causes[["trace_id", "activity_name", "span_name", "amount_ns"]].assign(
        span_id=list(map(span_id_of, group.causes["trace_id"], group.causes["span_id"]))
    )
    own = own.merge(parts, on=["trace_id", "span_id"])
    is_back = own["way"].ne("") & own["span_name"].str.startswith((schema.RECEIVING, schema.UNPICKLING))
    means = own.groupby("way")["amount_ns"].sum() / group.count
    pickled_ns, piped_ns = (float(means.get(way, 0.0)) for way in (schema.TRANSFER_PICKLED, schema.TRANSFER_PIPED))
    mean_ns = pickled_ns + piped_ns
    if mean_ns < max(MIN_MEAN_NS, COSTLY * group.mean_wall_ns):
        return
    job = str(own[own["way"] != ""].groupby("activity_name")["amount_ns"].sum().idxmax())
    comes_back = float(own.loc[is_back, "amount_ns"].sum()) > mean_ns * group.count / 2
    itself = (own["activity_name"] == job) & (own["way"] == "")
    told = {
        "job": (name := job.removeprefix(schema.JOB_SPAN_PREFIX)),
        "mean_ns": mean_ns,
        "pickled_ns": pickled_ns,
        "piped_ns": piped_ns,
        "handed": "come back from" if comes_back else "are handed to",
        "how": (HAND_BACK_LESS if comes_back else HAND_LESS).format(job=name),
    }
    queue = (Cause.POOL_QUEUE,) if mean_ns * group.count > own.loc[itself, "amount_ns"].sum() / 2 else ()
    for cause in (Cause.COMPUTE, Cause.BLOCKING_IO, *queue):
        yield Pattern(Situation.LARGE_TRANSFER, cause, told)
