"""The recent users of the CPUs, from the sampler's records: intervals in order of time."""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from whywait.tracer.sampler.process import SamplerProcess
from whywait.tracer.sampler.shared import cpu_records as use

_KEPT: Final = 600  # intervals: a minute of waiting for CPUs
_THROTTLED_KEPT: Final = 4_000
_NEARLY_NS: Final = 1_000_000_000
_LIBRARIES: Final = 1_024
_MOST_LISTED: Final = 256  # of one interval


class ThreadUse(NamedTuple):
    """A thread of this process in an interval: its CPU time and its run-queue time."""

    thread_id: int  # native; 0: short-lived threads together
    used_ns: int
    waited_ns: int = 0
    cpus: frozenset[int] = frozenset()  # it may run on; empty: not known
    python: bool = False  # sampled waiting for the GIL


class ProcessUse(NamedTuple):
    """The CPU time of another process in an interval."""

    process_id: int  # 0: all unlisted processes together
    used_ns: int
    name: str
    cpus: frozenset[int] = frozenset()  # it may run on; empty: not known
    sibling: bool = False  # another worker of the same service
    ended: bool = False  # within the interval: `used_ns` is an estimate of its upper bound


class Stretch(NamedTuple):
    """A quota had run out."""

    start_ns: int
    end_ns: int


class Interval(NamedTuple):
    """One interval in which threads of this process waited for a CPU."""

    start_ns: int
    end_ns: int
    threads: tuple[ThreadUse, ...]
    processes: tuple[ProcessUse, ...]
    busy_ns: dict[frozenset[int], int]  # by set of CPUs: their busy time, for any process
    cpus: frozenset[int]  # this process may run on
    quota_ns: int  # CPU time per `period_ns`; both 0 where there is no quota
    period_ns: int


class CpuPast:
    """The intervals of one process; `read` adds new records."""

    def __init__(self, process: SamplerProcess) -> None:
        self._process = process
        self._read = 0
        self._intervals: deque[Interval] = deque(maxlen=_KEPT)
        self._throttled: list[Stretch] = []
        self._begin()
        self.libraries: dict[int, str] = {}  # by native thread id: the library in which samples show it asleep
        self.missed = 0  # records that were overwritten before they were read

    @property
    def sampler_id(self) -> int:
        """The process id of the sampler, whose use counts as whywait's."""
        return self._process.id

    def read(self) -> None:
        """Read the child's records since the last call."""
        written = self._process.header().use_written
        if written - self._read > use.CPU_RECORDS // 2:  # the child may be overwriting the oldest now
            self.missed += written - use.CPU_RECORDS // 2 - self._read
            self._read = written - use.CPU_RECORDS // 2
            self._begin()
        while self._read < written:
            last = min(written, (self._read // use.CPU_RECORDS + 1) * use.CPU_RECORDS)
            for record in use.CPU_RECORD.iter_unpack(self._process.use_records(self._read, last)):
                self._take(*record)
            self._read = last

    def during(self, start_ns: int, end_ns: int) -> Iterator[Interval]:
        """The intervals that overlap the stretch, latest first."""
        for one in reversed(self._intervals):
            if one.end_ns <= start_ns:
                return
            if one.start_ns < end_ns:
                yield one

    def throttled(self, start_ns: int, end_ns: int) -> list[Stretch]:
        """The stretches in which a quota had run out that overlap this one."""
        at = bisect_right(self._throttled, start_ns, key=lambda one: one.end_ns)
        # by their ends they are in order, by their starts nearly so
        until = bisect_right(self._throttled, end_ns + _NEARLY_NS, key=lambda one: one.end_ns)
        return [one for one in self._throttled[at:until] if one.start_ns < end_ns]

    def _begin(self) -> None:
        self._threads: list[ThreadUse] = []
        self._processes: list[ProcessUse] = []
        self._busy: dict[frozenset[int], int] = {}

    def _take(self, kind: int, flags: int, number: int, first: int, second: int, mask: bytes, name: bytes) -> None:
        full = len(self._threads) + len(self._processes) + len(self._busy) >= _MOST_LISTED
        if kind == use.LIBRARY:
            if len(self.libraries) >= _LIBRARIES:
                self.libraries.pop(next(iter(self.libraries)))
            self.libraries[number] = _text(mask)
        elif kind == use.THROTTLED:
            self._throttled.append(Stretch(first, second))
            if len(self._throttled) > 2 * _THROTTLED_KEPT:
                del self._throttled[:_THROTTLED_KEPT]
        elif kind == use.INTERVAL:
            uses = tuple(self._threads), tuple(self._processes), self._busy
            self._intervals.append(Interval(first, second, *uses, _cpus(mask), *use.QUOTA.unpack_from(name)))
            self._begin()
        elif kind == use.THREAD and not full:
            python = bool(flags & use.FLAG_PYTHON)
            self._threads.append(ThreadUse(number, first, second, _cpus(mask), python))
        elif kind == use.PROCESS and not full:
            sibling, ended = bool(flags & use.FLAG_SIBLING), bool(flags & use.FLAG_ENDED)
            self._processes.append(ProcessUse(number, first, _text(name), _cpus(mask), sibling, ended))
        elif kind == use.BUSY and not full:
            self._busy[_cpus(mask)] = first


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0").decode("utf-8", "replace")


@lru_cache(maxsize=128)
def _cpus(mask: bytes) -> frozenset[int]:
    bits = int.from_bytes(mask, "little")
    return frozenset(at for at in range(bits.bit_length()) if bits >> at & 1)
