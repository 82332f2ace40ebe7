"""Tells what uses the CPUs while threads of the sampled process wait for one. Part of the sampler's process. Each
tenth of a second with such waits is an interval; without them the processes are read once a second, as a reference.
Reading them has a limit of its own in CPU time: of many the intervals are longer."""

import json
import os
import time
from collections.abc import Callable, Collection, Iterable
from operator import itemgetter

from whywait.tracer.sampler.child.cgroup import CpuGroups, Throttling
from whywait.tracer.sampler.child.proc_stat import Process, Processes, is_sibling, used_ticks
from whywait.tracer.sampler.child.record_writer import Thread
from whywait.tracer.sampler.shared.thread_records import MESSAGE_SIZE

INTERVAL_NS = 100_000_000
_LONGEST_NS = 30_000_000_000
_QUIET_NS = 1_000_000_000  # between readings of all processes while no thread waits
_WAITED_NS = 300_000  # by all threads together: from this on an interval is recorded
_SHORT_LIVED_NS = 30_000_000  # the resolution of the counter of all threads together
_LEAST_NS = 500_000  # used or waited: from this on a thread is recorded
_MOST_OF_A_CORE = 0.01
_MOST_THREADS, _MOST_PROCESSES = 96, 12
_MOST_CPUS = 448
_MOST_LIBRARIES = 64  # of one message
_UNKNOWN = 2**64 - 1
_TICK_NS = 1_000_000_000 // (os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100)


Spent = tuple[int, int, bool]  # by a thread: CPU time, run-queue time, whether it runs Python
# another process: id, CPU time, name, CPUs, whether it is a sibling, and whether it ended
Row = tuple[int, int, str, int, bool, bool]


class CpuUse:
    """Writes messages by `emit`. `root` is where the machine's file system begins. Never raises OSError."""

    def __init__(
        self, process_id: int, emit: Callable[[bytes], None], root: str = "/",
        affinity: "Callable[[int], Iterable[int]]" = os.sched_getaffinity,
    ) -> None:  # fmt: skip
        self._process_id, self._emit, self._affinity = process_id, emit, affinity
        self._machine = Processes(root)
        self.throttling = Throttling(CpuGroups(process_id, root), lambda *when: self._throttled.append(when))
        self._throttled: list[tuple[int, int]] = []
        self._libraries: list[tuple[int, str]] = []  # not told yet
        self._marks: dict[int, tuple[int, int]] = {}  # by thread: CPU and run queue at the interval's start
        self._ended: dict[int, Spent] = {}  # threads
        # until when everything was told; the interval began then
        self.until_ns = self._next_ns = self._found_ns = self._read_ns = 0
        self._processes: dict[int, Process] = {}
        # processes, by id and start, in an interval that ended where this one begins
        self._listed: dict[tuple[int, int], Row] = {}
        self._listed_ns = 0  # how long that was
        self._busy: dict[int, int] = {}
        self._busy_ns = self._busy_cost_ns = 0

    def account(self, now_ns: int, threads: Collection[Thread], *, last: bool = False) -> None:
        """End the interval, if it is due or the last one, and record what used the CPUs in it."""
        if not self.until_ns:
            self._read_processes(now_ns)
        elif now_ns - self.until_ns < INTERVAL_NS and not last:
            return
        else:
            spent = {one.tid: self._spent(one) for one in threads} | self._ended
            worth_it = sum(map(itemgetter(1), spent.values())) >= _WAITED_NS
            if worth_it and now_ns < min(self._next_ns, self.until_ns + _LONGEST_NS) and not last:
                self._tell(None)
                return  # it goes on until there is time to read the processes
            self._tell(self._read(now_ns, spent, worth_it=worth_it))
        self._begin(now_ns, threads)

    def _read(self, now_ns: int, spent: "dict[int, Spent]", *, worth_it: bool) -> "tuple[object, ...] | None":
        """The interval, if it is worth it; the processes in it are read then, and now and then."""
        listed, self._listed = self._listed, {}
        if not worth_it and now_ns - self._read_ns < _QUIET_NS:
            return None
        began, interval = time.thread_time_ns(), None
        busy, part = self._busy, self._part(self._busy_ns, now_ns)
        used = self._read_processes(now_ns)
        if worth_it:
            own = self._cpus(self._process_id)
            waits = self._waits(spent, used.get(self._process_id, 0), own)
            busy_in = self._busy_in({own} | {row[3] for row in waits if row[2]}, busy, part)
            others = self._others(used, listed, now_ns - self.until_ns)
            interval = (self.until_ns, now_ns, waits, others, busy_in, own, *self.throttling.groups.quota)
        self._next_ns = now_ns + int((time.thread_time_ns() - began) / _MOST_OF_A_CORE)
        return interval

    def _tell(self, interval: "tuple[object, ...] | None") -> None:
        libraries, self._libraries = self._libraries[:_MOST_LIBRARIES], self._libraries[_MOST_LIBRARIES:]
        throttled, self._throttled = self._throttled, []
        if interval or throttled or libraries:
            message = json.dumps((interval, throttled, libraries)).encode() + b"\n"
            if len(message) <= MESSAGE_SIZE:
                self._emit(message)

    def library(self, tid: int, name: str) -> None:
        """Record the library in which a thread was sampled asleep."""
        self._libraries.append((tid, name[:56]))

    def ended(self, thread: Thread) -> None:
        """Handle the end of a thread; its use counts in this interval."""
        if len(self._ended) < _MOST_THREADS:
            self._ended[thread.tid] = self._spent(thread)

    def _begin(self, now_ns: int, threads: Iterable[Thread]) -> None:
        self._marks = {one.tid: (one.cpu_ns, one.run_queue_ns) for one in threads}
        self.until_ns = now_ns
        self._ended.clear()
        # in quiet times, too, or the first waits in a new group go unseen
        if now_ns - self._found_ns >= _QUIET_NS:
            self._found_ns = now_ns
            self.throttling.find()
        # in quiet times, too, where it is cheap: who ended before the interval was busy before it
        if now_ns > self._busy_ns and self._busy_cost_ns < INTERVAL_NS * _MOST_OF_A_CORE / 10:
            self._read_busy(now_ns)

    def _spent(self, thread: Thread) -> Spent:
        if thread.run_queue_ns == _UNKNOWN:
            return 0, 0, thread.python
        # one that began since has used all that it used in this interval
        cpu_ns, queue_ns = self._marks.get(thread.tid, (0, 0))
        return max(thread.cpu_ns - cpu_ns, 0), max(thread.run_queue_ns - queue_ns, 0), thread.python

    def _part(self, read_ns: int, now_ns: int) -> float:
        """Of what was counted since a reading, which may lie before the interval, the interval's part."""
        return min((now_ns - self.until_ns) / max(now_ns - read_ns, 1), 1.0)

    def _read_processes(self, now_ns: int) -> "dict[int, int]":
        booted_ns = now_ns - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        before, before_ns = self._processes, self._read_ns
        self._processes, self._read_ns = self._machine.read(), now_ns
        self._read_busy(now_ns)
        used = {}
        for number, ticks in used_ticks(before, self._processes).items():
            # of one that began since, all of its use lies after that
            began_ns = booted_ns + self._processes[number].started * _TICK_NS
            used[number] = int(ticks * _TICK_NS * self._part(max(before_ns, began_ns), now_ns))
        return used

    def _read_busy(self, now_ns: int) -> None:
        began_ns = time.thread_time_ns()
        self._busy, self._busy_ns = self._machine.busy_ticks(), now_ns
        self._busy_cost_ns = time.thread_time_ns() - began_ns

    def _others(self, used: "dict[int, int]", listed: "dict[tuple[int, int], Row]", length_ns: int) -> "list[Row]":
        """The processes that used most; of those that ended, which were listed before, had they gone on as before."""
        own = self._processes.get(self._process_id, Process())
        others = sorted(used.keys() - {self._process_id}, key=lambda one: -used[one])
        for number in others[:_MOST_PROCESSES]:
            process = self._processes[number]
            name = self._machine.name(number, process).decode("utf-8", "replace")
            row = number, used[number], name, self._cpus(number), is_sibling(process, self._process_id, own), False
            self._listed[number, process.started] = row
        found = list(self._listed.values())
        if rest_ns := sum(used[number] for number in others[_MOST_PROCESSES:]):
            found.append((0, rest_ns, "", 0, False, False))
        for number, started in listed.keys() - {(number, one.started) for number, one in self._processes.items()}:
            _, used_ns, name, cpus, sibling, _ = listed[number, started]
            found.append((number, used_ns * length_ns // max(self._listed_ns, 1), name, cpus, sibling, True))
        self._listed_ns = length_ns
        return found

    def _waits(self, spent: "dict[int, Spent]", own_ns: int, own_cpus: int) -> "list[tuple[int, int, int, int, bool]]":
        rows = [
            (tid, *one[:2], self._cpus(tid, own_cpus), one[2])
            for tid, one in spent.items()
            if sum(one[:2]) >= _LEAST_NS
        ]
        found = sorted(rows, key=lambda row: -row[1] - row[2])[:_MOST_THREADS]
        unseen_ns = own_ns - sum(used_ns for used_ns, _, _ in spent.values())
        return [*found, (0, unseen_ns, 0, own_cpus, False)] if unseen_ns >= _SHORT_LIVED_NS else found

    def _busy_in(self, masks: "set[int]", before: "dict[int, int]", part: float) -> "list[tuple[int, int]]":
        ticks = {cpu: max(ticks - before.get(cpu, 0), 0) for cpu, ticks in self._busy.items()}
        sums = {mask: sum(count for cpu, count in ticks.items() if mask >> cpu & 1) for mask in masks}
        return [(mask, int(total * _TICK_NS * part)) for mask, total in sums.items()]

    def _cpus(self, number: int, else_: int = 0) -> int:
        """The CPUs on which a thread or process may run, as a mask; `else_`, or all, if that cannot be read."""
        try:
            cpus = self._affinity(number)
        except OSError:
            if else_:
                return else_
            cpus = self._busy
        return sum(1 << cpu for cpu in cpus if cpu < _MOST_CPUS)
