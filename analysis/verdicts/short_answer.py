"""The first screen's words: why, who, what to change, for one verdict."""

from dataclasses import dataclass

from whywait.analysis.causes import INFO
from whywait.analysis.text import milliseconds
from whywait.analysis.verdicts.accusation import Verdict


@dataclass(frozen=True, slots=True)
class Answer:
    """One endpoint's verdict as three short texts; `cause` is "" where nothing is accused."""

    cause: str
    why: str
    who: str
    where: str  # the culprit's place in the code
    held: str  # how much of the wait that was, and whether of other requests
    what: str
    gain: str
    others: tuple[str, ...]  # further reasons and situations


def answer(one: Verdict) -> Answer:
    """Return why an endpoint's requests were slow, who held them, and what to change."""
    if not one.reasons:
        return Answer("", "No wait reached 5% of its time and 1 ms.", "", "", "", "", "", one.situations)
    first = one.reasons[0]
    why = f"{milliseconds(first.mean_ns)} ms of each request, {first.share:.0%} of its time: "
    why += INFO[first.cause].phrase + (f", {first.detail}" if first.detail and not first.culprit else "")
    held = []
    if first.culprit and first.culprit_share < 0.995:
        held.append(f"{first.culprit_share:.0%} of that wait")
    if first.other_requests_share >= 0.005:
        held.append(f"{first.other_requests_share:.0%} of it for other requests")
    return Answer(
        str(first.cause), f"{why}.", first.culprit or "nobody that was seen", first.culprit_place,
        "; ".join(held), first.remedy, f"At most {milliseconds(first.gain_ns)} ms per request can be gained by that.",
        (*(reason.sentence for reason in one.reasons[1:]), *one.situations),
    )  # fmt: skip
