"""Finds the begin of the wait for the GIL that followed a call that blocked once. Pure.

Its end is observed only when Python runs again: the thread slept until its data came, then in rounds for the GIL
(sampler/gil_reader.py). There are samples of both, and the number of sleeps is known:

    call     |~~~~~~~~~~~~~~~~~|~~~~round~~~~|~~~~round~~~~|~r~|      4 sleeps
    samples         a                  b
                         b has the begin of its round, and how often the thread slept since a
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from whywait.tracer.host.thread_clocks import NOT_COUNTED
from whywait.tracer.sampler.shared.thread_records import ASLEEP, GIL, RUNNING, unpack_round
from whywait.tracer.sampler.thread_samples import Stay

_AT_ONCE_NS: Final = 300_000  # a call without a wait takes no longer until it needs the GIL
_EXACT_NS: Final = 20_000  # from the kernel's last word in the call to the first round
# a round that nobody ends lasts so much longer than the interval: the kernel's timer slack
_LATE_NS: Final = 60_000
_EVENLY: Final = 12**0.5  # a width by its standard deviation, if anything in it is as likely
# a wait without a sample is short: measured, with sockets of both kinds that answered after 1, 4 and 15 ms, on
# average a quarter of its upper bound, and half of the part of that beyond an interval
_UNSEEN: Final = 4
_UNSEEN_LONGER: Final = 2
_UNSEEN_ERROR: Final = 5  # the part of it that is a standard deviation, if such waits are Beta(1, 3)
# of a round by its standard deviation, if a quarter of them are ended soon, and in vain
_SOONER: Final = 0.43


class Onset(NamedTuple):
    """The begin of the wait for the GIL, the end of the stretch without one; and its standard error."""

    at_ns: int
    error_ns: int
    queued_before_ns: int = 0  # how long before that it was ready: an upper bound of its run-queue time


class _Seen(NamedTuple):
    called_ns: int | None  # when the call was last seen blocked
    ran_ns: int | None  # when after that it was first seen on CPU or in the run queue
    waits: Stay | None  # its first sample of a wait for the GIL


def onset(
    start_ns: int, end_ns: int, stays: Sequence[Stay], sleeps: int, interval_ns: int, *, blocks: bool, contended: bool
) -> Onset | None:  # fmt: skip
    """Return when the wait for the GIL began in a call that blocks once; None where unknown. `stays`: samples in
    order; `sleeps`: how often its thread slept, or `NOT_COUNTED`; `blocks`: a call of this kind sleeps even without a
    sample; `contended`: samples show such calls waiting for the GIL."""
    if end_ns <= start_ns:
        return None
    seen = _seen(start_ns, end_ns, stays)
    sleeps_in_call = blocks or seen.called_ns is not None
    if seen.waits is not None:
        if not sleeps_in_call:
            return Onset(start_ns, _EXACT_NS)
        found = _before(start_ns, end_ns, seen.called_ns, seen.waits, sleeps, interval_ns)
        return found if seen.ran_ns is None else found._replace(queued_before_ns=max(found.at_ns - seen.ran_ns, 0))
    if sleeps == NOT_COUNTED:
        return None
    rounds = sleeps - int(sleeps_in_call)
    if rounds <= 0 or not contended:
        return Onset(end_ns, 0)
    return _unseen(start_ns, end_ns, seen, rounds, interval_ns)


def _unseen(start_ns: int, end_ns: int, seen: _Seen, rounds: int, interval_ns: int) -> Onset:
    """The wait has no sample: a part of what the rounds and the other samples leave for it."""
    since_ns = start_ns if seen.called_ns is None else seen.called_ns
    known_ns = end_ns if seen.ran_ns is None else seen.ran_ns  # from here on it was on its way back
    longest_ns = max(min(rounds * (interval_ns + _LATE_NS) - (end_ns - known_ns), known_ns - since_ns), 0)
    likely_ns = min(longest_ns, interval_ns) // _UNSEEN + max(longest_ns - interval_ns, 0) // _UNSEEN_LONGER
    return Onset(known_ns - likely_ns, longest_ns // _UNSEEN_ERROR)


def _seen(start_ns: int, end_ns: int, stays: Sequence[Stay]) -> _Seen:
    found = _Seen(None, None, None)
    for stay in stays:
        if stay.last_ns < start_ns or stay.first_ns > end_ns:
            continue
        if stay.state in ASLEEP:
            found = _Seen(min(stay.last_ns, end_ns), None, None)
        elif stay.state == GIL and found.waits is None and not _gives_up(start_ns, stay):
            found = found._replace(waits=stay)
        elif stay.state == RUNNING and found[1:] == (None, None) and stay.first_ns - start_ns > _AT_ONCE_NS:
            found = found._replace(ran_ns=stay.first_ns)
    return found


def _gives_up(start_ns: int, stay: Stay) -> bool:
    """Whether a sample shows the thread releasing the GIL on demand as the call began, which is no round."""
    told = unpack_round(stay.number)
    return told is not None and told[0] == 0 and stay.first_ns - start_ns < _AT_ONCE_NS


def _before(start_ns: int, end_ns: int, called_ns: int | None, waits: Stay, sleeps: int, interval_ns: int) -> Onset:
    since_ns = start_ns if called_ns is None else called_ns
    seen_ns = max(waits.first_ns, since_ns)
    told = unpack_round(waits.number)
    if told is None:
        return Onset((since_ns + seen_ns) // 2, int((seen_ns - since_ns) / _EVENLY))
    ago_ns, earlier = told[0], told[1] - 1  # the first sleep after its sample in the call was the call
    round_ns = min(max(waits.first_ns - ago_ns, since_ns), seen_ns)
    longest_ns = interval_ns + _LATE_NS
    if called_ns is None and _is_all_rounds(round_ns - start_ns, longest_ns, earlier + 1):
        return Onset(start_ns, _EXACT_NS)
    if sleeps != NOT_COUNTED:  # that and what came after leave no more
        earlier = min(earlier, sleeps - 2 - (end_ns - round_ns) // longest_ns)
    if earlier <= 0:
        return Onset(round_ns, _EXACT_NS)
    # usually one lasted to its deadline; of more, every other one was woken earlier, in vain
    at_ns = max(round_ns - (earlier + 1) * longest_ns // 2, since_ns)
    return Onset(at_ns, int((round_ns - at_ns) * _SOONER))


def _is_all_rounds(passed_ns: int, longest_ns: int, most: int) -> bool:
    """Whether the thread never slept in the call: the time before a round is that of at most `most` full rounds."""
    full = round(passed_ns / longest_ns)
    within_ns = _AT_ONCE_NS // 2 if full else _AT_ONCE_NS
    return full <= most and abs(passed_ns - full * longest_ns) < within_ns
