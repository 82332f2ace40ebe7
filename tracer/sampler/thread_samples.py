"""The samples for the exporter: a thread's states in a stretch of time."""

from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from whywait.tracer.sampler.cpu_history import CpuPast
from whywait.tracer.sampler.process import SamplerProcess
from whywait.tracer.sampler.shared import thread_records as seen_as
from whywait.tracer.sampler.shared.thread_records import GIL, LONGEST_RECORD_NS, RECORD, RECORDS, UNKNOWN_RUN_QUEUE

_SLICE: Final = 200
_KEPT: Final = 20_000  # records per thread
_THREADS: Final = 1_024
_SHORTEST_NS: Final = 20_000_000  # a few sweeps: in less, run-queue time cannot be placed
# a record may be written this long after its time: one more record, for a thread with spared samples
_LATE_NS: Final = 2 * LONGEST_RECORD_NS + 10_000_000
_LATEST_NS: Final = 800_000_000  # and a CPU record; the exporter waits no longer for it


class Held(NamedTuple):
    """Samples in a row of a thread that waits for the GIL: the holder, 0 if unknown."""

    at_ns: int
    thread_id: int
    times: int
    until_ns: int = 0  # the last of them, where there are several


class Seen(NamedTuple):
    """The samples of a thread in a stretch: sweeps by state, calls by number, holders of the GIL."""

    states: Counter[int]
    calls: Counter[int]
    holders: list[Held]


class Stay(NamedTuple):
    """One state, from its first sweep to its last."""

    first_ns: int
    last_ns: int
    state: int
    number: int


class _Series:
    __slots__ = ("count", "first_ns", "holder", "last_ns", "number", "run_queue_ns", "state")

    def __init__(self) -> None:
        self.first_ns, self.last_ns, self.run_queue_ns = array("Q"), array("Q"), array("Q")
        self.holder, self.count, self.state, self.number = array("I"), array("H"), array("H"), array("i")


_NONE: Final = _Series()


class Samples:
    """The samples of one process."""

    def __init__(self, process: SamplerProcess) -> None:
        self._process = process
        self._read = 0
        self.cpu = CpuPast(process)
        self._threads: dict[int, _Series] = {}
        self.missed = 0  # records that were overwritten before they were read

    def read(self, pause: Callable[[], None]) -> None:
        """Read the child's new records; call `pause` between slices of work."""
        self.keep_up()
        pause()
        written = self._process.header().written
        if written - self._read > RECORDS - 4 * _SLICE:  # the child may be overwriting the oldest now
            oldest = written - RECORDS + 8 * _SLICE
            self.missed += oldest - self._read
            self._read = oldest
        while self._read < written:
            turn_ends = (self._read // RECORDS + 1) * RECORDS
            last = min(self._read + _SLICE, written, turn_ends)
            self._take(RECORD.iter_unpack(self._process.records(self._read, last)))
            self._read = last
            pause()

    def keep_up(self) -> None:
        """Read who used the CPUs: there is less room for it than for the records, so that it is read between them, too."""
        missed = self.cpu.missed
        self.cpu.read()
        self.missed += self.cpu.missed - missed

    def _take(self, records: Iterable[tuple[int, ...]]) -> None:
        for first_ns, last_ns, run_queue_ns, tid, holder, count, state, number in records:
            series = self._threads.get(tid)
            if series is None:
                if len(self._threads) >= _THREADS:
                    self._threads.pop(next(iter(self._threads)))
                series = self._threads[tid] = _Series()
            series.first_ns.append(first_ns)
            series.last_ns.append(last_ns)
            series.run_queue_ns.append(run_queue_ns)
            series.holder.append(holder)
            series.count.append(count)
            series.state.append(state)
            series.number.append(number)
            if len(series.first_ns) > _KEPT:
                for column in _Series.__slots__:
                    del getattr(series, column)[: _KEPT // 4]

    def seen(self, tid: int, start_ns: int, end_ns: int, *, woken: bool = False) -> Seen:
        """Return the thread's samples in the stretch; a record that extends beyond it counts in part. `woken`: its
        sleep had ended before: samples that still show it were in the run queue."""
        found = Seen(Counter(), Counter(), [])
        series = self._threads.get(tid, _NONE)
        for at in range(bisect_left(series.last_ns, start_ns), bisect_right(series.first_ns, end_ns)):
            count = _inside(series, at, start_ns, end_ns)
            state = series.state[at]
            if not count or (woken and series.first_ns[at] < start_ns and state not in (seen_as.RUNNING, GIL)):
                continue
            found.states[state] += count
            if state in (seen_as.CALL, seen_as.POLL, seen_as.SLEEP):
                found.calls[series.number[at]] += count
            elif state == GIL:
                found.holders.append(Held(series.first_ns[at], series.holder[at], count, series.last_ns[at]))
        return found

    def stays(self, tid: int, start_ns: int, end_ns: int) -> list[Stay]:
        """The records of a thread, or of another row with its number, that overlap the stretch."""
        series = self._threads.get(tid, _NONE)
        chosen = range(bisect_left(series.last_ns, start_ns), bisect_right(series.first_ns, end_ns))
        return [Stay(series.first_ns[at], series.last_ns[at], series.state[at], series.number[at]) for at in chosen]

    def run_queue_ns(self, tid: int, start_ns: int, end_ns: int) -> int | None:
        """Return the thread's run-queue time, its growth between two sweeps taken as even; None without a sweep on
        both sides or in too short a stretch."""
        if end_ns - start_ns < _SHORTEST_NS:
            return None
        series = self._threads.get(tid, _NONE)
        first, last = self._run_queue_at(series, start_ns), self._run_queue_at(series, end_ns)
        if first is None or last is None:
            return None
        return min(max(last - first, 0), end_ns - start_ns)

    def run_queue_around_ns(self, tid: int, start_ns: int, end_ns: int) -> int | None:
        """Return an upper bound of the thread's run-queue time in the stretch: the growth between the
        sweeps before and after it. None without a sweep on both sides."""
        series = self._threads.get(tid, _NONE)
        before, after = bisect_right(series.last_ns, start_ns) - 1, bisect_left(series.last_ns, end_ns)
        if before < 0 or after >= len(series.last_ns):
            return None
        low, high = series.run_queue_ns[before], series.run_queue_ns[after]
        if UNKNOWN_RUN_QUEUE in (low, high):
            return None
        return min(max(high - low, 0), end_ns - start_ns)

    def queue_asleep_ns(self, tid: int, start_ns: int, end_ns: int) -> int | None:
        """Return the thread's total run-queue time at a sample that shows it asleep in the stretch, other than for the
        GIL; None without such a sample."""
        series = self._threads.get(tid, _NONE)
        for at in range(bisect_left(series.last_ns, start_ns), bisect_right(series.first_ns, end_ns)):
            if series.state[at] in seen_as.ASLEEP and series.run_queue_ns[at] != UNKNOWN_RUN_QUEUE:
                return series.run_queue_ns[at]
        return None

    def queue_before(self, tid: int, at_ns: int) -> tuple[int, int] | None:
        """Return the latest sample before: its time, and the thread's total run-queue time by then."""
        series = self._threads.get(tid, _NONE)
        at = bisect_left(series.last_ns, at_ns) - 1
        if at < 0 or series.run_queue_ns[at] == UNKNOWN_RUN_QUEUE:
            return None
        return series.last_ns[at], series.run_queue_ns[at]

    def _run_queue_at(self, series: _Series, at_ns: int) -> int | None:
        after = bisect_left(series.last_ns, at_ns)
        if not 0 < after < len(series.last_ns):
            return None
        low, high = series.run_queue_ns[after - 1], series.run_queue_ns[after]
        if UNKNOWN_RUN_QUEUE in (low, high):
            return None
        from_ns, to_ns = series.last_ns[after - 1], series.last_ns[after]
        if to_ns <= from_ns:
            return high
        return low + (high - low) * (at_ns - from_ns) // (to_ns - from_ns)

    def reaches(self, end_ns: int) -> bool:
        """Return whether the child has written all its records of the time until then."""
        header = self._process.header()
        if header.swept_ns < end_ns + _LATE_NS:
            return False
        return header.use_until_ns >= end_ns or header.swept_ns >= end_ns + _LATEST_NS


def _inside(series: _Series, at: int, start_ns: int, end_ns: int) -> int:
    first_ns, last_ns, count = series.first_ns[at], series.last_ns[at], series.count[at]
    if first_ns >= start_ns and last_ns <= end_ns:
        return count
    if count == 1 or last_ns == first_ns:
        return 0
    rhythm_ns = (last_ns - first_ns) / (count - 1)
    begin = max(0, -int(-(start_ns - first_ns) // rhythm_ns)) if start_ns > first_ns else 0
    last = min(count - 1, int((end_ns - first_ns) // rhythm_ns))
    return max(0, last - begin + 1)
