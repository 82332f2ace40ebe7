"""The sentences about what changed between two runs. One place for terminal, HTML, JSON and notebook."""

from whywait.analysis.causes import INFO, Cause
from whywait.analysis.changes.comparison import CauseChange, Change, Comparison
from whywait.analysis.measure.felt import differ
from whywait.analysis.measure.percentile_composition import highest_tellable, requests_needed
from whywait.analysis.text import counted, in_brackets, milliseconds, signed


def headline(change: Change, percentile: float) -> str:
    """Return one sentence: the percentile before and after, and whether the difference is significant."""
    took = f"p{percentile:g} {milliseconds(change.before_ns)} → {milliseconds(change.after_ns)} ms"
    handler = change.handler_before_ns, change.handler_after_ns
    if differ(change.before_ns, handler[0]) or differ(change.after_ns, handler[1]):
        took += f" felt by clients, {milliseconds(handler[0])} → {milliseconds(handler[1])} ms in the handler"
    counts = f"{counted(change.requests_before, 'request')} before, {change.requests_after:,} after"
    if not change.tellable:
        fewest = min(change.requests_before, change.requests_after)
        other = highest_tellable(fewest)
        advice = f"; {fewest} are enough for p{other}" if other else ""
        return (
            f"{took} ({counts}): too few to distinguish a change from chance. p{percentile:g} needs "
            f"{requests_needed(percentile)} on each side{advice}.{_whole(change)}"
        )
    if not change.certain:
        return f"{took} ({counts}): no change of p{percentile:g} beyond chance.{_whole(change)}"
    way = "slower" if change.delta_ns > 0 else "faster"
    factor = max(change.before_ns, change.after_ns) / max(1, min(change.before_ns, change.after_ns))
    size = f"{factor:.1f}×" if factor >= 2 else f"{abs(change.delta_ns) / max(1, change.before_ns):.0%}"
    return f"{took} ({counts}): {size} {way}, {signed(change.delta_ns)} ms."


def _whole(change: Change) -> str:
    """What all requests together tell."""
    whole = change.whole
    between = f"{_factor(whole.ratio)} [{_factor(whole.low)}, {_factor(whole.high)}] as long as before"
    if whole.slower or whole.faster:
        return f" As a whole its requests became {'slower' if whole.slower else 'faster'}: they take {between}."
    return "" if whole.excluded else f" {cannot_tell(change)}"


def cannot_tell(change: Change) -> str:
    """Return a sentence about what it takes to tell that an endpoint is not slower."""
    needed = change.whole.needed
    takes = "more requests a side" if needed is None else f"about {needed:,} requests a side, or several runs"
    return f"That all are 10% slower cannot be excluded: it takes {takes}."


def _factor(ratio: float) -> str:
    return f"{ratio:.2f}×" if ratio < 100 else "over 100×"


def reasons(change: Change) -> tuple[str, ...]:
    """Return a sentence for each cause of the difference, then for each that changed in the other direction."""
    whole = abs(change.delta_ns) or 1
    said = [
        f"{signed(one.delta_ns)} ms ({abs(one.delta_ns) / whole:.0%} of it) {INFO[one.cause].phrase}{_who(one)}."
        for one in change.blamed
    ]
    word = "Against it" if change.certain else "Inside it"
    said += [f"{word}: {signed(one.delta_ns)} ms {INFO[one.cause].phrase}{_who(one)}." for one in change.against]
    return tuple(said)


def text(change: Change, percentile: float) -> str:
    """Return the whole text about one endpoint."""
    parts = [f"{change.endpoint}: {headline(change, percentile)}", *reasons(change)]
    if change.remedy:
        parts.append(f"What to change: {change.remedy.text}")
    return " ".join(parts)


def how_divided(comparison: Comparison) -> str:
    """Return an explanation of the numbers: how the percentile was divided."""
    return (
        f"p{comparison.percentile:g} is by nearest rank, the time that one request's client felt; it is divided as the tenth of the "
        "requests around it were (at least 5). The differences by cause sum to its difference to the nanosecond. "
        "In brackets: the 99% confidence interval of the difference, by resampling both runs in "
        "blocks of requests that depend on one another."
    )


def _who(one: CauseChange) -> str:
    mover = one.mover
    if mover is None or one.cause is Cause.CPU_WAIT:
        return ""
    where = in_brackets(mover.place)
    return f", chiefly {mover.name}{where}: {milliseconds(mover.before_ns)} → {milliseconds(mover.after_ns)} ms"
