"""The first screen's answer for one verdict: why, who, what to change."""

from dataclasses import dataclass

from whywait.analysis.causes import INFO, Cause
from whywait.analysis.situations.loop_blocked import LoopHeld
from whywait.analysis.text import milliseconds, place
from whywait.analysis.verdicts.sentences import BUT_HELD, NOTHING_SIGNIFICANT, Verdict, culprit_share


@dataclass(frozen=True, slots=True)
class Answer:
    """One endpoint's verdict as three short texts. `cause` is "" where nothing is significant."""

    cause: str
    why: str
    who: str
    where: str  # the culprit's place in the code
    part: str  # the culprit's share of the wait, and that of other requests
    what: str
    gain: str
    others: tuple[str, ...]  # further reasons and situations


def answer(one: Verdict) -> Answer:
    """Return why an endpoint's requests were slow, who delayed them, and what to change."""
    if not one.judgement.reasons:
        held = next((found for found in one.judgement.situations if isinstance(found, LoopHeld)), None)
        if held is None:
            return Answer("", NOTHING_SIGNIFICANT, "", "", "", "", "", one.situations)
        why, where = f"{NOTHING_SIGNIFICANT} {BUT_HELD}", place(held.file, held.line)
        return Answer(str(Cause.LOOP_BUSY), why, held.function, where, "", one.remedy, "", one.situations)
    first = one.judgement.reasons[0]
    why = f"{milliseconds(first.mean_ns)} ms of each request, {first.share:.0%} of its time: "
    why += INFO[first.cause].phrase + (f", {first.detail}" if first.detail and not first.culprit else "")
    return Answer(
        str(first.cause), f"{why}.", first.culprit or "no culprit was recorded",
        place(first.culprit_file, first.culprit_line), culprit_share(first, "that wait").lstrip("; "),
        one.remedy, one.gain, (*one.reasons[1:], *one.situations),
    )  # fmt: skip
