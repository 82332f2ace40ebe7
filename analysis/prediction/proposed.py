"""Which change that a replay knows is what a report proposes. Decides by cause and situation alone."""

from collections.abc import Iterable, Iterator
from shlex import quote
from typing import Final

from whywait.analysis.causes import Cause
from whywait.analysis.prediction.changes import Change, functions, released
from whywait.analysis.prediction.holds import Recording
from whywait.analysis.situations.situation import Situation, numbers
from whywait.analysis.verdicts.judgement import Judgement, Reason
from whywait.tracer import schema

OFTEN_NS: Final = 500_000.0  # a tenth of the usual switch interval
LARGER: Final = 2  # times the size: of the limit that is to be raised
_LIMITS: Final = (Cause.POOL_QUEUE, Cause.LIMITER_WAIT, Cause.CONNECTION_WAIT)
_RAISED: Final = (Situation.HOLDERS_WAIT, Situation.CONNECTIONS_HELD, Situation.INNER_LIMIT, Situation.BACKGROUND_HOLDS)
_BATCHED: Final = (Situation.HOLDERS_COMPUTE, Situation.HOLDERS_NEED_GIL, Situation.HOLDERS_NEED_CPU)
_NOT_THERE: Final = {  # what the change takes away, whatever it costs elsewhere
    Situation.BLOCKS_LOOP: (Cause.LOOP_BUSY,), Situation.COMPUTES_ON_LOOP: (Cause.LOOP_BUSY,),
    Situation.CPU_OTHER_PROCESSES: (Cause.CPU_WAIT,), Situation.CPU_QUOTA: (Cause.CPU_WAIT,),
    Situation.POOL_PER_REQUEST: (Cause.POOL_STARTUP, Cause.POOL_SHUTDOWN), Situation.HOLDERS_COLLECT: (Cause.GC_PAUSE,),
}  # fmt: skip


def proposed(one: Judgement, found: Recording) -> Change | None:
    """Return the change for an endpoint's first reason; None where a replay knows none, or has not recorded its names."""
    return next((change for reason in one.reasons[:1] for change in _changes(one, reason, found)), None)


def _changes(one: Judgement, reason: Reason, found: Recording) -> Iterator[Change]:
    kind, names = reason.remedy.situation, functions(found.programs)
    if kind is Situation.SERIAL_AWAITS and reason.culprit in names:
        yield Change(together=(reason.culprit,))
    alike = [numbers(other) for other in one.situations if (other.kind, other.of) == (kind, reason.cause)]
    is_lock = any(other.get("is_lock") for other in alike)  # one has it: it cannot be larger, but given back sooner
    # by what has it itself, not by a job's caller
    if is_lock and reason.culprit in names and released(found.programs, reason.culprit) != [*found.programs]:
        yield Change(released=(reason.culprit,))
    if kind in _RAISED and reason.cause in _LIMITS and not is_lock:
        sizes = _raised(found, [reason.detail])
        if sizes:
            yield Change(pools=sizes)
    if kind in _BATCHED and reason.cause is Cause.POOL_QUEUE:
        jobs = (numbers(other)["function"] for other in one.situations if other.kind is Situation.MANY_JOBS)
        yield from (Change(batch=(str(name),)) for name in jobs if name in names)
    if reason.cause is Cause.LOOP_BUSY and kind in (Situation.HOLDERS_WAIT, Situation.HOLDERS_COMPUTE):
        yield Change(without=(Cause.LOOP_BUSY,))
    if reason.cause is Cause.LOGGING_WAIT:
        yield Change(without=(Cause.LOGGING_WAIT,))
    if kind in _NOT_THERE:
        yield Change(without=_NOT_THERE[kind])


def often_tried(one: Judgement, found: Recording, chosen: Change) -> Iterator[Change]:
    """Yield what is often tried where threads wait for the GIL or a CPU, and is not what was chosen: more workers, no
    logging, another switch interval."""
    if not any(reason.remedy.situation in _BATCHED for reason in one.reasons[:1]):
        return
    waited = {reason.detail for reason in one.reasons if reason.cause is Cause.POOL_QUEUE}
    sizes = _raised(found, waited)
    kinds = {key[-1] for key in found.names}
    changes = [Change(pools=sizes)] if sizes else []
    changes += [Change(without=(Cause.LOGGING_WAIT,))] if schema.WAIT_LOGGING in kinds else []
    yield from (change for change in [*changes, Change(switch_interval_ns=OFTEN_NS)] if change != chosen)


def _raised(found: Recording, details: Iterable[str]) -> dict[str, int]:
    """Return the limit that these words name, LARGER times as large; {} where none is known."""
    sizes = {
        name: LARGER * found.limits[key]
        for key, said in found.names.items()
        for name in said
        if key in found.limits and any(name in detail for detail in details)
    }
    name = max(sizes, key=len, default="")  # as "work" in "pool 'work-2'"
    return {name: sizes[name]} if name else {}


def options(change: Change) -> str:
    """Return the options of `whywait whatif` for a change that was proposed."""
    pools = [f"--pool {quote(f'{name}={size}')}" for name, size in change.pools.items()]
    if change.switch_interval_ns is not None:
        pools.append(f"--switch-interval {change.switch_interval_ns / 1e6:g}")
    words = (
        ("without", change.without), ("together", change.together), ("batch", change.batch), ("release-before", change.released),
    )  # fmt: skip
    return " ".join([*pools, *(f"--{option} {name}" for option, names in words for name in map(quote, names))])
