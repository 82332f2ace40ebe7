"""The sampler's process: reads the thread states of another process into shared memory. Run as a script, without site
packages; ends with the sampled process, at the end of its standard input."""

import mmap
import os
import random
import select
import sys
import time
import types

if __name__ == "__main__":  # without the package's front door, which imports far more than this needs
    _tracer = os.path.abspath(__file__).rsplit(os.sep, 3)[0]
    for _name, _folder in (("whywait", os.path.dirname(_tracer)), ("whywait.tracer", _tracer)):
        sys.modules[_name] = _package = types.ModuleType(_name)
        _package.__path__ = [_folder]

from whywait.tracer.sampler.child import sleeping_threads
from whywait.tracer.sampler.child.cpu_usage import CpuUse
from whywait.tracer.sampler.child.gil_reader import GilReader
from whywait.tracer.sampler.child.mapped_library import Libraries
from whywait.tracer.sampler.child.pool_sweeps import PoolSweeps
from whywait.tracer.sampler.child.record_writer import Ring, Thread, goes_on
from whywait.tracer.sampler.child.sleeping_threads import has_run, is_spared
from whywait.tracer.sampler.child.syscall_state import CallStates
from whywait.tracer.sampler.shared import thread_records
from whywait.tracer.sampler.shared.thread_records import ASLEEP, FUTEX, GIL, MESSAGE_SIZE, MESSAGES

_SWEEPS_THAT_PAY = 16
_LISTING_S = 0.05  # how often new threads are searched for
_IDLE_S = 0.05  # how often an idle process is asked whether it is: a wake-up costs as much as a sweep
_SPARED_NS = 500_000_000  # the longest between two sweeps of it
_IDLE_AFTER_NS = 20_000_000
_IDLE_PART = 10  # it has used less CPU since the latest sweep than one part of the time in so many
_MOST_THREADS = 512
_MOST_LIBRARIES = 4  # places in which a thread was seen asleep


class Sampler:
    """Sweeps over all threads of a process until its standard input ends."""

    def __init__(
        self, process_id: int, gil_from: int, gil_to: int, holder_at: int, native_id_offset: int, interval_known: int,
        memory: mmap.mmap,
    ) -> None:  # fmt: skip
        self._folder = os.open(f"/proc/{process_id}/task", os.O_RDONLY)
        self._clock = (~process_id << 3) | 2  # of its CPU time, see clock_getcpuclockid
        self._gil = GilReader(process_id, holder_at, native_id_offset, interval_known)
        self._calls = CallStates(gil_from, gil_to)
        self._memory = memory
        self._ring = Ring(memory)
        self._began_ns = time.perf_counter_ns()
        self._sweeps = self._swept_ns = self._sweep_ns = self._waited_for = 0
        self._used_ns = self._asked_ns = 0  # its CPU time when that was last asked for, and when that was
        self._threads: dict[int, Thread] = {}
        self._use = CpuUse(process_id, self._emit_use)
        self._use_written = 0
        self._woken = 0  # how many threads were said to have begun to work
        self._every = 1  # how many sweeps apart the threads are sampled that have long been asleep
        self._libraries = Libraries(process_id)
        self._pools = PoolSweeps(process_id, memory, self._ring, self._calls.of)

    def run(self) -> None:
        """Returns when standard input has ended, or the sampled process is gone."""
        listed_s = 0.0
        cost_s, typical_s, period_s = 0.0, 0.0, sleeping_threads.PERIOD_S
        vary = random.Random()
        while True:
            # a steady rhythm would beat against the switch interval of the interpreter, which is as long
            pause_s = max(period_s * vary.uniform(0.5, 1.5) - cost_s, 0.0005)
            due_ns = time.perf_counter_ns()
            idle_ns = self._idle_since(due_ns)
            if self._rests(due_ns):
                pause_s = thread_records.REST_S
            elif idle_ns:
                pause_s = _IDLE_S
            ended = self._pause(due_ns := due_ns + int(pause_s * 1e9))
            self._memory[thread_records.ASLEEP_AT] = 0
            if ended:
                self._finish()
                return
            if idle_ns and self._said_at(thread_records.IDLE_AT) == idle_ns and due_ns - self._swept_ns < _SPARED_NS:
                continue
            cpu_ns, now_s, now_ns = time.thread_time_ns(), time.monotonic(), time.perf_counter_ns()
            self._use.throttling.look(due_ns, now_ns)
            if now_s - listed_s >= _LISTING_S:
                listed_s = now_s
                if not self._list():
                    return
            self._sweep()
            self._pools.sweep()
            spent_ns = time.thread_time_ns()
            cost_s = (spent_ns - cpu_ns) / 1e9
            # one that cost much is paid for by many: a hole in the samples would be its price else
            typical_s += (cost_s - typical_s) / _SWEEPS_THAT_PAY
            period_s = max(sleeping_threads.PERIOD_S, typical_s / sleeping_threads.MOST_OF_A_CORE)
            self._every = sleeping_threads.look_every(self._every, cost_s)
            self._sweeps += 1
            self._use.account(self._swept_ns, self._threads.values())  # has a budget of its own
            self._write_header(time.thread_time_ns(), int(period_s * 1e9))

    def _rests(self, now_ns: int) -> bool:
        return now_ns - max(self._said_at(thread_records.BUSY_AT), self._began_ns) > thread_records.REST_NS

    def _idle_since(self, now_ns: int) -> int:
        """Since when there is nothing to see but sleep, in which no request has a part: none was open since before the
        latest sweep, and next to nothing has run. Then the byte of one that begins ends the pause. 0: that is not so."""
        used_ns, passed_ns = self._cpu_ns() - self._used_ns, now_ns - self._asked_ns
        self._used_ns, self._asked_ns = self._used_ns + used_ns, now_ns
        idle_ns = self._said_at(thread_records.IDLE_AT)
        if not 0 < idle_ns < min(self._sweep_ns, now_ns - _IDLE_AFTER_NS) or used_ns * _IDLE_PART > passed_ns:
            return 0
        self._memory[thread_records.ASLEEP_AT] = 1
        return idle_ns if self._said_at(thread_records.IDLE_AT) == idle_ns else 0  # one began before that could be read

    def _said_at(self, at: int) -> int:
        return int(thread_records.BUSY.unpack_from(self._memory, at)[0])

    def _cpu_ns(self) -> int:
        try:
            return time.clock_gettime_ns(self._clock)
        except OSError:  # it has ended
            return 0

    def _pause(self, until_ns: int) -> bool:
        """Until the next sweep; whether standard input ended. Process pools are sampled meanwhile where many threads
        make sweeps cost much, and thus rare: a short job would begin and end between two."""
        while True:
            now_ns = time.perf_counter_ns()
            look_ns = self._pools.next_ns(now_ns)
            wake_ns = min(look_ns, until_ns) if look_ns else until_ns
            if select.select([0], [], [], max(wake_ns - now_ns, 0) / 1e9)[0]:
                return not os.read(0, 64)  # a byte: work begins
            if wake_ns >= until_ns:
                return False
            self._pools.sweep()

    def _finish(self) -> None:
        now_ns = time.perf_counter_ns()
        self._use.throttling.look(now_ns, now_ns)
        self._use.account(now_ns, self._threads.values(), last=True)
        for tid in list(self._threads):
            self._drop(tid)
        self._pools.close()
        self._use.throttling.close()
        self._write_header(time.thread_time_ns(), 0)

    def _list(self) -> bool:
        try:
            found = {int(name) for name in os.listdir(self._folder)}
        except OSError:
            return False
        if not found:
            return False
        for tid in self._threads.keys() - found:
            self._drop(tid)
        for tid in sorted(found - self._threads.keys())[: _MOST_THREADS - len(self._threads)]:
            self._take_up(tid)
        return True

    def _drop(self, tid: int) -> None:
        thread = self._threads.pop(tid)
        self._ring.end(thread)
        self._use.ended(thread)
        thread.close()

    def _hear(self) -> None:
        """Threads that rested and now work are sampled in this sweep, and what was seen of them before is over."""
        count, *latest = thread_records.WOKEN.unpack_from(self._memory, thread_records.WOKEN_AT)
        for number in range(max(self._woken, count - thread_records.WOKEN_MOST), count):
            tid = latest[number % thread_records.WOKEN_MOST]
            thread = self._threads.get(tid)
            if thread is not None:
                has_run(thread, time.perf_counter_ns())
                self._ring.end(thread)
                thread.asleep, thread.looks, thread.passed_over = b"", 0, 0
            elif tid and len(self._threads) < _MOST_THREADS:
                self._take_up(tid)
        self._woken = count

    def _sweep(self) -> None:
        self._hear()
        self._waited_for = 0
        turn, every, began_ns = self._sweeps, self._every, time.perf_counter_ns()
        self._sweep_ns = began_ns
        for tid, thread in list(self._threads.items()):
            if is_spared(thread, turn, every, began_ns):
                continue
            # asked before where it is, or a wake-up might be missed
            ran = bool(thread.asleep) and has_run(thread, began_ns)
            try:
                said = os.pread(thread.calls, 160, 0)
            except OSError:  # the thread has ended
                self._drop(tid)
                continue
            now = time.perf_counter_ns()
            if ran:  # it was away, and may have come back to the same place between two samples
                self._ring.end(thread)
                thread.asleep = b""
            if said != thread.asleep or not thread.is_still_there(now):
                self._take_in(thread, said, now, ran=ran)
        self._swept_ns = time.perf_counter_ns()

    def _take_in(self, thread: Thread, said: bytes, now: int, *, ran: bool) -> None:
        words = said.split(None, 2)
        state, number = self._calls.of(words)
        thread.passed_over = 0
        if state not in ASLEEP:
            thread.looks, thread.asleep = 0, b""
        elif said == thread.asleep:
            thread.looks += 1
        else:
            thread.looks, thread.asleep, thread.turns = 0, said, thread.turns if ran else b""
        if state == GIL:
            holder = self._holder()
            self._waited_for = holder or self._waited_for
            thread.python = True
            self._take_round(thread, words, now, holder)
        elif self._ring.take_in(thread, now, state, number, 0) and state == FUTEX:
            self._tell_library(thread, words, now)

    def _holder(self) -> int:
        tid = self._gil.holder()
        if not tid or tid in self._threads:
            return tid
        return tid if len(self._threads) < _MOST_THREADS and self._take_up(tid) else 0  # it began just now

    def _take_round(self, thread: Thread, words: "list[bytes]", now: int, holder: int) -> None:
        """Adds that a thread was seen waiting for the GIL, and since when."""
        before, waited = thread.switches, thread.count and thread.state == GIL
        round_ns = self._gil.round_began(words[2], now) if len(words) > 2 else 0
        run_queue = thread.read_run_queue()
        turns = thread.switches - before
        if waited and not goes_on(thread.round_ns, round_ns, turns, self._gil.interval_ns):
            self._ring.end(thread)
        thread.round_ns = round_ns
        if self._ring.take_in(thread, now, GIL, self._calls.futex, holder, run_queue):
            # no deadline, though others have one: it waits for the GIL's mutex, and that is not for long
            known = self._gil.interval_ns > 0
            thread.round = thread_records.pack_round(now - round_ns if round_ns else 0, turns) if known else 0

    def _take_up(self, tid: int) -> bool:
        try:
            self._threads[tid] = Thread(tid, self._folder)
        except OSError:  # no thread of this process, or no more
            return False
        return True

    def _tell_library(self, thread: Thread, words: "list[bytes]", now_ns: int) -> None:
        address = int(words[-1].rsplit(None, 1)[-1], 16)
        if address not in thread.libraries and len(thread.libraries) < _MOST_LIBRARIES:
            thread.libraries.add(address)
            name = self._libraries.at(address, now_ns)
            if name:
                self._use.library(thread.tid, name)

    def _emit_use(self, message: bytes) -> None:
        at = thread_records.CPU_AT + self._use_written % MESSAGES * MESSAGE_SIZE
        self._memory[at : at + len(message)] = message
        self._use_written += 1

    def _write_header(self, cpu_ns: int, period_ns: int) -> None:
        thread_records.HEADER.pack_into(
            self._memory, 0, self._ring.written, self._sweeps, self._swept_ns, cpu_ns, self._waited_for,
            len(self._threads), period_ns, self._use_written, self._use.until_ns,
        )  # fmt: skip


def main() -> None:
    """Leaves its parent, says who it is, and samples: PID GIL_FROM GIL_TO HOLDER_AT OFFSET INTERVAL_KNOWN FD."""
    process_id, gil_from, gil_to, holder_at, offset, interval_known, shared = map(int, sys.argv[1:])
    if os.fork():  # an orphan is nobody's child: a host that waits for its children will not meet it
        os._exit(0)
    os.setsid()
    memory = mmap.mmap(shared, thread_records.SIZE)
    os.write(1, b"here %d\n" % os.getpid())
    for _ in range(50):
        try:
            sampler = Sampler(process_id, gil_from, gil_to, holder_at, offset, interval_known, memory)
            with open(f"/proc/{process_id}/task/{process_id}/syscall", "rb") as file:
                file.read()
            break
        except PermissionError:
            os.write(1, b"denied\n")  # the parent may yet allow it
            if select.select([0], [], [], 0.1)[0]:
                return
    else:
        return
    os.write(1, b"ready\n")
    sampler.run()


if __name__ == "__main__":
    main()
