"""Who uses the CPUs while threads of the sampled process wait for one. Part of the sampler's process.

Every tenth of a second in which threads waited in the run queue is one interval: what each thread of the
process and each other process used in it is written down, and the stretches in which a quota had run out.
In quiet times nothing is, and the processes are read once a second, so that there is something to compare
with. Reading them has a share of a core of its own; where there are many, the intervals become longer.
"""

import os
import time
from collections.abc import Callable, Collection, Iterable
from typing import Protocol

from whywait.tracer.sampler.child.cgroup import CpuGroups
from whywait.tracer.sampler.child.cpu_affinity import Places
from whywait.tracer.sampler.child.proc_stat import (
    Process,
    Processes,
    Reading,
    Used,
    is_sibling,
    read_stat,
    stat_of,
    used_ticks,
)
from whywait.tracer.sampler.child.throttling import Throttling
from whywait.tracer.sampler.shared.cpu_records import (
    BUSY,
    CPU_RECORD,
    CPU_TEXT,
    CPUS,
    FLAG_ENDED,
    FLAG_PYTHON,
    FLAG_SIBLING,
    INTERVAL,
    LIBRARY,
    PROCESS,
    QUOTA,
    THREAD,
    THROTTLED,
)

INTERVAL_NS = 100_000_000
_LONGEST_NS = 30_000_000_000
_QUIET_NS = 1_000_000_000  # between readings of all processes while nobody waits
_WAITED_NS = 300_000  # by all threads together, from which an interval is written down
_SHORT_LIVED_NS = 30_000_000  # the coarseness of the counter of all threads together
_LEAST_NS = 500_000  # used or waited, from which a thread is
_MOST_OF_A_CORE = 0.01
_MOST_THREADS, _MOST_PROCESSES = 96, 12
_MOST_SETS = 64
_UNKNOWN = 2**64 - 1
_TICK_NS = 1_000_000_000 // (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


class SeenThread(Protocol):
    """What the sampler's sweeps know of a thread."""

    tid: int
    cpu_ns: int
    run_queue_ns: int
    python: bool


class CpuUse:
    """Writes records by `emit`. `root` is where the machine's file system begins. Never raises OSError."""

    def __init__(
        self,
        process_id: int,
        emit: Callable[[bytes], None],
        root: str = "/",
        affinity: "Callable[[int], Iterable[int]] | None" = None,
    ) -> None:
        self._process_id = process_id
        self._places = Places(affinity)
        self._emit = emit
        self._root = root.rstrip("/")
        self._others = Processes(process_id, root)
        self.throttling = Throttling(CpuGroups(process_id, root), self._write_throttled)
        self._marks: dict[int, tuple[int, int]] = {}  # by thread: CPU and run queue at the interval's start
        self._since_ns = self._next_ns = self._found_ns = 0
        self._reading = Reading(0, {}, {})
        self._own = Process(b"", 0, 0, 0, 0)  # the process itself, with its ended threads
        self._busy: dict[int, int] = {}
        self._busy_ns = self._busy_cost_ns = 0
        self._sets: dict[frozenset[int], int] = {}
        self._told: set[int] = set()  # the sets written down in this interval
        self._ended: dict[int, tuple[int, int, bool]] = {}

    @property
    def until_ns(self) -> int:
        """Everything before this moment has been written down."""
        return self._since_ns

    def account(self, now_ns: int, threads: Collection[SeenThread], *, last: bool = False) -> None:
        """Ends the interval, if it is time or the last one, and writes down who used the CPUs in it."""
        if not self._since_ns:
            self._begin(now_ns, threads)
            self._read_processes(now_ns)
            return
        length_ns = now_ns - self._since_ns
        if length_ns < INTERVAL_NS and not last:
            return
        if (
            now_ns - self._found_ns >= _QUIET_NS
        ):  # in quiet times, too, or the first waits in a new group go unseen
            self._found_ns = now_ns
            self.throttling.find()
        waited_ns = sum(self._spent(one)[1] for one in threads) + sum(one[1] for one in self._ended.values())
        worth_it = waited_ns >= _WAITED_NS
        if worth_it and now_ns < self._next_ns and length_ns < _LONGEST_NS and not last:
            return  # it goes on until there is time to read the processes
        if worth_it or now_ns - self._reading.at_ns >= _QUIET_NS:
            began = time.thread_time_ns()
            self._end_interval(now_ns, threads, worth_it=worth_it)
            spent_ns = time.thread_time_ns() - began
            self._next_ns = now_ns + int(spent_ns / _MOST_OF_A_CORE)
        self._begin(now_ns, threads)

    def library(self, tid: int, name: str) -> None:
        """Writes down in whose code a thread was seen asleep."""
        self._emit(CPU_TEXT.pack(LIBRARY, 0, tid, name.encode()[:56]))

    def ended(self, thread: SeenThread) -> None:
        """Told of a thread that is no more; what it used counts in this interval."""
        if len(self._ended) < _MOST_THREADS:
            self._ended[thread.tid] = (*self._spent(thread), thread.python)

    def close(self) -> None:
        """Closes what is open."""
        self.throttling.close()

    def _begin(self, now_ns: int, threads: Iterable[SeenThread]) -> None:
        self._marks = {one.tid: (one.cpu_ns, one.run_queue_ns) for one in threads}
        self._since_ns = now_ns
        # in quiet times, too, where it is cheap: who ended before the interval was busy before it
        if now_ns > self._busy_ns and self._busy_cost_ns < INTERVAL_NS * _MOST_OF_A_CORE / 10:
            self._read_busy(now_ns)
        self._told.clear()
        self._ended.clear()

    def _spent(self, thread: SeenThread) -> "tuple[int, int]":
        if thread.run_queue_ns == _UNKNOWN:
            return 0, 0
        # one that began since has used all that it used in this interval
        cpu_ns, queue_ns = self._marks.get(thread.tid, (0, 0))
        return max(thread.cpu_ns - cpu_ns, 0), max(thread.run_queue_ns - queue_ns, 0)

    def _end_interval(self, now_ns: int, threads: Iterable[SeenThread], *, worth_it: bool) -> None:
        before, own_before = self._reading, self._own
        busy_before, busy_since_ns = self._busy, self._busy_ns
        self._read_processes(now_ns)
        if not worth_it:
            return
        start_ns = self._since_ns
        allowed = self._places.of(self._process_id) or frozenset(self._busy)

        def part_since(read_ns: int) -> float:
            # readings may lie further apart than the interval: then it has its part
            return min((now_ns - start_ns) / max(now_ns - read_ns, 1), 1.0)

        own_ns = int((self._own.ticks - own_before.ticks) * _TICK_NS * part_since(before.at_ns))
        waited_for = self._write_threads(start_ns, now_ns, threads, own_ns, allowed)
        used = {one: int(used.ns * part_since(used.since_ns)) for one, used in self._reading.used.items()}
        self._write_processes(start_ns, now_ns, self._reading.processes, used)
        if start_ns - before.at_ns <= INTERVAL_NS:  # else they may have ended before it
            self._write_processes(
                start_ns, now_ns, before.processes, self._wont(before, now_ns - start_ns), FLAG_ENDED
            )
        for cpus in {allowed, *waited_for}:
            ticks = sum(max(self._busy.get(cpu, 0) - busy_before.get(cpu, 0), 0) for cpu in cpus)
            busy_ns = int(ticks * _TICK_NS * part_since(busy_since_ns))
            self._write(BUSY, 0, start_ns, now_ns, busy_ns, cpus=self._number_of(cpus))
        self._write(
            INTERVAL,
            0,
            start_ns,
            now_ns,
            0,
            cpus=self._number_of(allowed),
            name=QUOTA.pack(*self.throttling.quota),
        )

    def _wont(self, before: Reading, length_ns: int) -> "dict[int, int]":
        """What those that are no more would have used in this time, had they gone on as before."""
        wont = {}
        for number, one in before.processes.items():
            now, used = self._reading.processes.get(number), before.used.get(number)
            if used is not None and (now is None or now.started != one.started):
                share = min(used.ns / max(before.at_ns - used.since_ns, 1), one.threads)
                wont[number] = int(share * length_ns)
        return wont

    def _write_processes(
        self, start_ns: int, now_ns: int, processes: "dict[int, Process]", used: "dict[int, int]", flags: int = 0
    ) -> None:  # fmt: skip
        chosen = sorted(used, key=lambda one: -used[one])[:_MOST_PROCESSES]
        for number in chosen:
            one = processes[number]
            sibling = FLAG_SIBLING if is_sibling(one, self._process_id, self._own) else 0
            place = self._places.of(number, one.started, ended=bool(flags & FLAG_ENDED))
            cpus = self._number_of(place or frozenset(self._busy))
            self._write(
                PROCESS, number, start_ns, now_ns, used[number], 0, one.cpu, cpus, flags | sibling, one.name
            )
        rest_ns = sum(used.values()) - sum(used[one] for one in chosen)
        if rest_ns:
            self._write(PROCESS, 0, start_ns, now_ns, rest_ns, flags=flags)

    def _write_threads(
        self,
        start_ns: int,
        now_ns: int,
        threads: Iterable[SeenThread],
        own_ns: int,
        allowed: "frozenset[int]",
    ) -> "set[frozenset[int]]":
        """Returns the sets of CPUs that threads waited for."""
        spent = {one.tid: (*self._spent(one), one.python) for one in threads} | self._ended
        unseen_ns = own_ns - sum(used_ns for used_ns, _, _ in spent.values())
        chosen = sorted(spent, key=lambda tid: -spent[tid][0] - spent[tid][1])[:_MOST_THREADS]
        waited_for: set[frozenset[int]] = set()
        for tid in chosen:
            used_ns, waited_ns, python = spent[tid]
            if used_ns + waited_ns < _LEAST_NS:
                break
            stat = stat_of(read_stat(f"{self._root}/proc/{self._process_id}/task/{tid}/stat"))
            cpu, name = (stat.cpu, stat.name) if stat is not None else (0, b"")
            allowed_here = self._places.of(tid) or allowed
            if waited_ns:
                waited_for.add(allowed_here)
            cpus, flags = self._number_of(allowed_here), FLAG_PYTHON if python else 0
            self._write(THREAD, tid, start_ns, now_ns, used_ns, waited_ns, cpu, cpus, flags, name)
        if unseen_ns >= _SHORT_LIVED_NS:
            self._write(THREAD, 0, start_ns, now_ns, unseen_ns, cpus=self._number_of(allowed))
        return waited_for

    def _write_throttled(self, start_ns: int, end_ns: int) -> None:
        self._write(THROTTLED, 0, start_ns, end_ns, 0)

    def _read_processes(self, now_ns: int) -> None:
        before, processes = self._reading, self._others.read()
        used = {}
        booted_ns = now_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        for one, ticks in used_ticks(before.processes, processes).items() if before.at_ns else ():
            # of one that began since, all of its use lies after that
            began_ns = booted_ns + processes[one].started * _TICK_NS
            used[one] = Used(ticks * _TICK_NS, max(before.at_ns, began_ns))
        self._reading = Reading(now_ns, processes, used)
        own = stat_of(read_stat(f"{self._root}/proc/{self._process_id}/stat"))
        self._own = own if own is not None else self._own
        self._read_busy(now_ns)

    def _read_busy(self, now_ns: int) -> None:
        began_ns = time.thread_time_ns()
        self._busy, self._busy_ns = self._others.busy_ticks(), now_ns
        self._busy_cost_ns = time.thread_time_ns() - began_ns

    def _number_of(self, cpus: "frozenset[int]") -> int:
        """The number of a set of CPUs; 0 where there are too many sets."""
        number = self._sets.get(cpus)
        if number is None:
            if len(self._sets) >= _MOST_SETS:
                return 0
            number = self._sets[cpus] = len(self._sets) + 1
        if number in self._told:
            return number
        self._told.add(number)
        mask = sum(1 << cpu for cpu in cpus if cpu < 56 * 8)
        self._emit(CPU_TEXT.pack(CPUS, 0, number, mask.to_bytes(56, "little")))
        return number

    def _write(
        self, kind: int, number: int, start_ns: int, end_ns: int, used_ns: int, waited_ns: int = 0, cpu: int = 0,
        cpus: int = 0, flags: int = 0, name: bytes = b"",
    ) -> None:  # fmt: skip
        self._emit(
            CPU_RECORD.pack(
                kind,
                min(cpu, 65_535),
                number,
                start_ns,
                end_ns,
                max(used_ns, 0),
                waited_ns,
                cpus,
                flags,
                0,
                name,
            )
        )
