"""How the records of threads are made, sweep by sweep, and written into the shared memory. Part of the sampler's process."""

import mmap
import os

from whywait.tracer.sampler.shared import thread_records
from whywait.tracer.sampler.shared.thread_records import GIL, LONGEST_RECORD_NS, RECORD, RUNNING, UNKNOWN_RUN_QUEUE

_ROUND_LATE_NS = 1_000_000  # a round that nobody ends may last so much longer than the interval
_NOT_BEGUN = -1
_QUEUED_NS = 500_000  # a record ends when its thread has waited so long for a CPU: it keeps one reading


class Making:
    """The record that is being made of something that stays as it is for some sweeps."""

    __slots__ = (
        "count", "first_ns", "holder", "last_ns", "number", "queued_ns", "round", "run_queue_ns", "state", "tid",
    )  # fmt: skip

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self.count = self.first_ns = self.last_ns = self.holder = self.number = self.round = 0
        self.state = _NOT_BEGUN
        self.run_queue_ns = self.queued_ns = UNKNOWN_RUN_QUEUE

    def read_run_queue(self) -> int:
        """How long it was in the run queue so far."""
        return UNKNOWN_RUN_QUEUE

    def close(self) -> None:
        """Close its files."""


class Thread(Making):
    """A thread of the sampled process, or the first thread of a worker of one of its process pools."""

    __slots__ = (
        "asleep", "calls", "cpu_ns", "libraries", "looks", "passed_over", "python", "round_ns", "schedstat",
        "switches", "turns", "turns_ns",
    )  # fmt: skip

    def __init__(self, tid: int, folder: int) -> None:
        super().__init__(tid)
        self.calls = os.open(f"{tid}/syscall", os.O_RDONLY, dir_fd=folder)
        try:
            self.schedstat = os.open(f"{tid}/schedstat", os.O_RDONLY, dir_fd=folder)
        except OSError:
            self.schedstat = -1
        self.cpu_ns = 0
        self.switches = 0  # how often it was put on a CPU, at the latest reading
        self.round_ns = 0  # when the round began in which it was last seen waiting for the GIL; 0: not known
        self.turns = b""  # its CPU time, run queue and how often it was put on a CPU, as it was seen asleep
        self.turns_ns = 0  # when that was read
        self.asleep = b""  # what the kernel said of it, if it slept in what is not the GIL
        self.looks = self.passed_over = 0  # consecutive samples that found it asleep; sweeps since the latest
        self.python = False  # it was seen waiting for the GIL
        self.libraries: set[int] = set()  # addresses it was seen asleep at

    def read_run_queue(self) -> int:
        """The same, and takes in its CPU time and how often it was put on a CPU."""
        if self.schedstat < 0:
            return UNKNOWN_RUN_QUEUE
        try:
            cpu, queue, switches = os.pread(self.schedstat, 64, 0).split()
            self.cpu_ns, self.switches = int(cpu), int(switches)
            return int(queue)
        except (OSError, ValueError):
            return UNKNOWN_RUN_QUEUE

    def read_turns(self) -> bytes:
        """What changes only when it is put on a CPU; nothing where that cannot be read."""
        if self.schedstat < 0:
            return b""
        try:
            return os.pread(self.schedstat, 64, 0)
        except OSError:
            return b""

    def is_still_there(self, now: int) -> bool:
        """Take in a sample that shows it asleep where it was; whether that is all: now and then it is sampled in full."""
        self.last_ns = now
        self.count += self.passed_over
        self.passed_over = 0
        if not self.looks % 8 or now - self.first_ns >= LONGEST_RECORD_NS:
            return False
        self.count += 1
        self.looks += 1
        return True

    def slept_until(self, ready_ns: int, now: int) -> None:
        """Takes in that it waited until then, between its first sample and now: samples that were spared count
        until then, and those later on do not, for then it was in the run queue."""
        if not self.count:
            return
        ready_ns = min(max(ready_ns, self.first_ns), now)
        if ready_ns >= self.last_ns:
            self.count += self.passed_over * (ready_ns - self.last_ns) // max(now - self.last_ns, 1)
        else:
            self.count = self.count * (ready_ns - self.first_ns) // (self.last_ns - self.first_ns)
        self.last_ns, self.passed_over = ready_ns, 0

    def close(self) -> None:
        os.close(self.calls)
        if self.schedstat >= 0:
            os.close(self.schedstat)


def goes_on(before_ns: int, round_ns: int, turns: int, interval_ns: int) -> bool:
    """Pure: whether two rounds belong to one wait for the GIL: as far as is seen, all between were slept through."""
    if not before_ns or not round_ns:
        return False
    return 0 <= round_ns - before_ns - turns * interval_ns <= turns * _ROUND_LATE_NS


def queued_ns(turns: bytes) -> int:
    """Pure: of a thread's `turns`, how long it was in the run queue; 0 where that is not known."""
    words = turns.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0


class Ring:
    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory
        self.written = 0

    def take_in(
        self, made: Making, now: int, state: int, number: int, holder: int, run_queue: int | None = None
    ) -> bool:
        """Adds what was seen in one sweep (and `run_queue`, if it was read); whether it is another thing than before,
        or the record grew long."""
        same = (state, number, holder) == (made.state, made.number, made.holder)
        if run_queue is None:
            # a thread that still waits in the same place was not in the run queue meanwhile
            waits_on = same and state != RUNNING and made.count % 8
            run_queue = made.run_queue_ns if waits_on else made.read_run_queue()
        same = same and now - made.first_ns < LONGEST_RECORD_NS and run_queue - made.queued_ns < _QUEUED_NS
        if not same:
            self.end(made)
            made.first_ns, made.state, made.number, made.holder = now, state, number, holder
            made.queued_ns = run_queue
        made.last_ns = now
        made.run_queue_ns = run_queue
        made.count += 1
        return not same

    def end(self, made: Making) -> None:
        """Writes the record as far as it is made; the next sweep begins another."""
        if not made.count:
            return
        at = thread_records.HEADER_SIZE + (self.written % thread_records.RECORDS) * RECORD.size
        RECORD.pack_into(
            self._memory, at, made.first_ns, made.last_ns, made.run_queue_ns, made.tid, made.holder,
            min(made.count, 65_535), made.state, made.round if made.state == GIL else made.number,
        )  # fmt: skip
        self.written += 1
        made.count, made.state = 0, _NOT_BEGUN
