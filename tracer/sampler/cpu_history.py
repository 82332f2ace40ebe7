"""The recent users of the CPUs, from the sampler's messages: intervals in order of time."""

import json
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from whywait.tracer.sampler.process import SamplerProcess
from whywait.tracer.sampler.shared.thread_records import MESSAGES

_KEPT: Final = 600  # intervals: a minute of waiting for CPUs
_THROTTLED_KEPT: Final = 4_000
_NEARLY_NS: Final = 1_000_000_000
_LIBRARIES: Final = 1_024


class ThreadUse(NamedTuple):
    """A thread of this process in an interval: its CPU time and its run-queue time."""

    thread_id: int  # native; 0: short-lived threads together
    used_ns: int
    waited_ns: int = 0
    cpus: frozenset[int] = frozenset()  # it may run on; empty: not known
    python: bool = False  # sampled waiting for the GIL
    ended: bool = False  # not: what it used is measured


class ProcessUse(NamedTuple):
    """The CPU time of another process in an interval."""

    process_id: int  # 0: all unlisted processes together
    used_ns: int
    name: str
    cpus: frozenset[int] = frozenset()  # it may run on; empty: not known
    sibling: bool = False  # another worker of the same service
    ended: bool = False  # within the interval: `used_ns` is an estimate of its upper bound
    thread_id: int = 0  # no thread of this process
    waited_ns: int = 0


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
    """The intervals of one process; `read` adds new ones."""

    def __init__(self, process: SamplerProcess) -> None:
        self.process = process
        self._read = 0
        self._intervals: deque[Interval] = deque(maxlen=_KEPT)
        self._throttled: list[Stretch] = []
        self.libraries: dict[int, str] = {}  # by native thread id: the library in which samples show it asleep
        self.missed = 0  # messages that were overwritten before they were read

    def read(self) -> None:
        written = self.process.header().use_written
        if written - self._read > MESSAGES // 2:  # the child may be overwriting the oldest now
            self.missed += written - MESSAGES // 2 - self._read
            self._read = written - MESSAGES // 2
        for number in range(self._read, written):
            try:
                self._take(*json.loads(self.process.cpu_message(number)))
            except (ValueError, TypeError):  # it was overwritten meanwhile
                self.missed += 1
        self._read = written

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

    def _take(self, interval: Any, throttled: Iterable[Any], libraries: Iterable[Any]) -> None:
        self._throttled += [Stretch(*one) for one in throttled]
        if len(self._throttled) > 2 * _THROTTLED_KEPT:
            del self._throttled[:_THROTTLED_KEPT]
        self.libraries.update(libraries)
        while len(self.libraries) > _LIBRARIES:
            self.libraries.pop(next(iter(self.libraries)))
        if interval is not None:
            start_ns, end_ns, threads, processes, busy, mask, quota_ns, period_ns = interval
            self._intervals.append(
                Interval(
                    start_ns, end_ns,
                    tuple(ThreadUse(*row)._replace(cpus=_cpus(row[3])) for row in threads),
                    tuple(ProcessUse(*row)._replace(cpus=_cpus(row[3])) for row in processes),
                    {_cpus(at): ns for at, ns in busy}, _cpus(mask), quota_ns, period_ns,
                )
            )  # fmt: skip


@lru_cache(maxsize=128)
def _cpus(mask: int) -> frozenset[int]:
    return frozenset(at for at in range(mask.bit_length()) if mask >> at & 1)
