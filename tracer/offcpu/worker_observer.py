"""Adds samples to a job of a process pool: when its worker took it, when its result was there. Pure."""

from bisect import bisect_right
from collections.abc import Sequence

from whywait.tracer.sampler.shared.thread_records import POLL, RUNNING
from whywait.tracer.sampler.thread_samples import Stay

_IMPORTS, _FEW = 100, 10  # read calls: of a process that imports, and of a job that does not


def taken(stays: Sequence[Stay], size: int, queued_ns: int, jobs_put: Sequence[int], until_ns: int) -> tuple[int, int]:
    """Return when a job queued at `queued_ns` was last sampled waiting, and when it was taken (0: never): when no
    more jobs are in the queue than were added after it. `stays` are of the free places."""
    later = bisect_right(jobs_put, queued_ns)
    waiting_ns = 0
    for stay in stays:
        seen_ns = max(stay.first_ns, queued_ns)
        on_their_way = size - stay.number
        if on_their_way <= bisect_right(jobs_put, seen_ns) - later:
            return waiting_ns, seen_ns
        last = later + on_their_way - 1  # the last of the later jobs: with that one it was taken
        if last < len(jobs_put) and jobs_put[last] <= stay.last_ns:
            return min(seen_ns, until_ns), jobs_put[last]
        waiting_ns = min(stay.last_ns, until_ns)
    return waiting_ns, 0


def result_ns(stays: Sequence[Stay], start_ns: int, end_ns: int) -> int:
    """Return when the thread that takes results at `end_ns`, whose `stays` these are, was last sampled waiting for one,
    at or before that: what follows is its own delay."""
    woken_ns = 0
    for stay in reversed(stays):
        if stay.state == POLL:
            return (min(stay.last_ns, end_ns) + woken_ns) // 2 if woken_ns else end_ns
        woken_ns = max(stay.first_ns, start_ns)
    return end_ns


def imported_ns(stays: Sequence[Stay], start_ns: int, end_ns: int) -> int:
    """Return when a worker that starts, whose `stays` these are, had imported what it runs: from then on it read hardly
    anything; `start_ns` where it read little at all."""
    ran = [one for one in stays if one.state == RUNNING and one.number]
    if not ran or ran[-1].number - ran[0].number < _IMPORTS:
        return start_ns
    return min(max(one.last_ns for one in ran if ran[-1].number - one.number >= _FEW), end_ns)
