"""Where a request's blocking calls ran, and whose limit it waited for: what helps depends on both."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Final

from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Group, Situation
from whywait.analysis.situations.thresholds import MIN_HELD
from whywait.analysis.situations.what_helps import instead_of, limit_of
from whywait.tracer import schema


@dataclass(frozen=True, slots=True)
class BlockingCalls:
    """Most of the time in blocking calls passed on the event loop, or in worker threads."""

    kind: Situation  # BLOCKS_LOOP or IN_WORKER
    share: float  # of the time in blocking calls
    how: str  # what to do instead of the chief one on a loop


@dataclass(frozen=True, slots=True)
class AnyioTokens:
    """The limit is that of anyio's worker threads."""

    kind: ClassVar = Situation.ANYIO_TOKENS
    how: str


_ON: Final = {schema.KIND_TASK: Situation.BLOCKS_LOOP, schema.KIND_JOB: Situation.IN_WORKER}


def blocking_calls(group: Group) -> Iterator[BlockingCalls | AnyioTokens]:
    """Yield where most of the significant time in blocking calls passed, and whether anyio's tokens are waited for."""
    own = group.of(Cause.BLOCKING_IO)
    by_place = own.groupby(group.kinds_of(own).map(_ON))["amount_ns"].sum()
    if len(by_place) and by_place.max() >= MIN_HELD * own["amount_ns"].sum():
        (longest,) = group.attributes_of(own.nlargest(1, "amount_ns"))
        share = float(by_place.max() / own["amount_ns"].sum())
        yield BlockingCalls(Situation(str(by_place.idxmax())), share, instead_of(longest))
    for attributes in group.attributes_of(group.of(Cause.LIMITER_WAIT).nlargest(1, "amount_ns")):
        if attributes.get(schema.WAIT) == schema.WAIT_LIMITER:
            yield AnyioTokens(limit_of(attributes))
