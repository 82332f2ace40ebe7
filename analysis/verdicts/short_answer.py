"""The first screen's answer for one verdict: why, who, what to change."""

from dataclasses import dataclass

from whywait.analysis.causes import INFO
from whywait.analysis.text import in_brackets, milliseconds, place
from whywait.analysis.verdicts.sentences import BUT_UNSEEN, NOTHING_SIGNIFICANT, UNSEEN, Verdict, culprit_share, unseen


@dataclass(frozen=True, slots=True)
class Answer:
    """One endpoint's verdict as three short texts. `cause` is "" where nothing is significant."""

    cause: str
    why: str
    who: str
    where: str  # the culprit's place in the code
    part: str  # the culprit's share of the wait, and that of other requests
    what: str
    others: tuple[str, ...]  # further reasons and situations


def answer(one: Verdict) -> Answer:
    """Return why an endpoint's requests were slow, who delayed them, and what to change."""
    if not one.judgement.reasons:
        felt = unseen(one.judgement)
        if felt is None:
            return Answer("", NOTHING_SIGNIFICANT, "", "", "", "", one.situations)
        of = felt.numbers
        who, where = of.get("function", "nobody"), place(of.get("file", ""), of.get("line", 0))
        why = f"{NOTHING_SIGNIFICANT} {BUT_UNSEEN}"
        return Answer(str(UNSEEN[felt.kind]), why, who, where, "", one.remedy, one.situations)
    first = one.judgement.reasons[0]
    why = f"{milliseconds(first.mean_ns)} ms of each request, {first.share:.0%} of its time: "
    info = INFO[first.cause]
    why += info.phrase + in_brackets(first.detail * (info.detail_adds or not first.culprit))
    return Answer(
        str(first.cause), f"{why}.", first.culprit or "no culprit was recorded",
        place(first.culprit_file, first.culprit_line), culprit_share(first, "that wait").lstrip("; "),
        one.remedy, (*one.reasons[1:], *one.situations),
    )  # fmt: skip
