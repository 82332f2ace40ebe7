"""Says in sentences what changed between two runs. One place for terminal, HTML, JSON and notebook."""

from whywait.analysis.causes import INFO, Cause
from whywait.analysis.changes.comparison import CauseChange, Change, Comparison
from whywait.analysis.measure.percentile_composition import highest_tellable, requests_needed


def headline(change: Change, percentile: float) -> str:
    """Return one sentence: the percentile before and after, and whether that is a change."""
    took = f"p{percentile:g} {ms(change.before_ns)} → {ms(change.after_ns)} ms"
    counts = f"{change.requests_before} requests before, {change.requests_after} after"
    if not change.tellable:
        fewest = min(change.requests_before, change.requests_after)
        other = highest_tellable(fewest)
        advice = f"; {fewest} can tell p{other}" if other else ""
        return (
            f"{took} ({counts}): too few to tell a change from chance. p{percentile:g} needs "
            f"{requests_needed(percentile)} on each side{advice}."
        )
    if not change.certain:
        return f"{took} ({counts}): no change that is more than chance."
    way = "slower" if change.delta_ns > 0 else "faster"
    factor = max(change.before_ns, change.after_ns) / max(1, min(change.before_ns, change.after_ns))
    size = f"{factor:.1f}×" if factor >= 2 else f"{abs(change.delta_ns) / max(1, change.before_ns):.0%}"
    return f"{took} ({counts}): {size} {way}, {signed(change.delta_ns)} ms."


def reasons(change: Change) -> tuple[str, ...]:
    """Return a sentence for each cause that made the difference, then for those that went against it."""
    whole = abs(change.delta_ns) or 1
    said = [
        f"{signed(one.delta_ns)} ms ({abs(one.delta_ns) / whole:.0%} of it) {INFO[one.cause].phrase}{_who(one)}."
        for one in change.blamed
    ]
    word = "Against it" if change.certain else "Inside it"
    said += [
        f"{word}: {signed(one.delta_ns)} ms {INFO[one.cause].phrase}{_who(one)}." for one in change.against
    ]
    return tuple(said)


def remedy(change: Change) -> str:
    """Return what to do about the chief cause of a slower percentile, "" where there is none."""
    if change.delta_ns <= 0 or not change.blamed:
        return ""
    return INFO[change.blamed[0].cause].remedy


def text(change: Change, percentile: float) -> str:
    """Return all that is said about one endpoint."""
    parts = [f"{change.endpoint}: {headline(change, percentile)}", *reasons(change)]
    if remedy(change):
        parts.append(f"What to change: {remedy(change)}")
    return " ".join(parts)


def how_divided(comparison: Comparison) -> str:
    """Return how the percentile was divided, for whoever wants to know what the numbers are."""
    return (
        f"p{comparison.percentile:g} is by nearest rank, one request's wall time; it is divided as the tenth of the "
        "requests around it were (at least 5). The differences by cause sum to its difference to the nanosecond. "
        "Between brackets: where the difference lies, but for 1% chance, by resampling both runs."
    )


def _who(one: CauseChange) -> str:
    mover = one.mover
    if mover is None or one.cause is Cause.CPU_WAIT:
        return ""
    where = f" ({mover.place})" if mover.place else ""
    return f", chiefly {mover.name}{where}: {ms(mover.before_ns)} → {ms(mover.after_ns)} ms"


def ms(ns: float) -> str:
    """Return nanoseconds as milliseconds for a person."""
    value = abs(ns) / 1e6
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    return f"−{shown}" if ns < 0 and float(shown.replace(",", "")) else shown


def signed(ns: float) -> str:
    """Return a difference in milliseconds with its sign."""
    said = ms(ns)
    return f"+{said}" if ns > 0 else said
