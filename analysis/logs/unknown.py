"""Sentences about what a log leaves open about a request. Pure."""

from whywait.analysis.logs.model import BETWEEN, NAMED, SINCE, LoggedRequest
from whywait.analysis.text import amount


def unknowable(request: LoggedRequest) -> list[str]:
    """Return what the log cannot show about this request, one sentence each, longest time first."""
    timed_ns, between_ns = request.of_kind_ns(NAMED, SINCE), request.of_kind_ns(BETWEEN)
    said = [
        (
            timed_ns,
            f"{amount(timed_ns)} lie under a name: whether that was computing or waiting for the GIL, a lock, a "
            "pool, the event loop or a CPU. A timer shows where a program was, not why.",
        ),
        (
            between_ns,
            f"{amount(between_ns)} lie between markers that do not belong together: not even what ran is said.",
        ),
        (
            request.untimed_ns,
            f"{amount(request.untimed_ns)} lie under no timer: before the first marker, after the last, or the "
            "stated total is of another clock or another request.",
        ),
    ]
    sentences = [sentence for ns, sentence in sorted(said, key=lambda one: -one[0]) if ns > 0]
    if request.others:
        others = "1 other request was" if request.others == 1 else f"{request.others:,} other requests were"
        sentences.append(f"{others} in flight meanwhile: whether and how they delayed this one.")
    return sentences
