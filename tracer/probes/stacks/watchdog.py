"""Samples the stacks of long loop callbacks and jobs, so that what computes, or blocks a loop, has a function, a file
and a line; and the stack of the thread that holds the GIL while others wait for it.

Its thread wakes up periodically; while there are no requests, only where a callback lasts. It reads a stack only while
there is such a callback, job or thread, and of a long callback also the system call in which it sleeps, if any.
"""

import _thread
import sys
import threading
from _thread import get_ident
from collections import Counter
from contextlib import suppress
from functools import partial
from operator import attrgetter
from time import perf_counter_ns
from types import FrameType
from typing import Final
from weakref import WeakValueDictionary

from whywait.tracer.host.code_location import FUNCTION_OF, Place, interrupted, is_ours, library_call, places_of_threads
from whywait.tracer.host.names.syscall_names import call_name
from whywait.tracer.host.own_thread import OwnThread, all_threads
from whywait.tracer.host.thread_clocks import cpu_ns_of, run_queue_ns
from whywait.tracer.hotpath.recorder import Recorder, probe_failed
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.stacks.alarm import Alarm
from whywait.tracer.records.gil_holder import HolderSeen, summed
from whywait.tracer.records.loop import Loop, Sample
from whywait.tracer.schema import LOOKED_AT_NS

name: Final = "watchdog"
needs: Final = ()
available: Final = always
_REST_AFTER_NS: Final = 2_000_000_000
_REST_S: Final = 0.1  # between two looks, where no alarm tells of a long callback
_SOUND_S: Final = 2.0  # the longest sleep with an alarm
_MOST_SETS: Final = 128  # of the alarm in such a sleep: a loop that wakes up more often is looked at periodically
_LONG_NS: Final = LOOKED_AT_NS  # of a callback or job
_LATE: Final = 3  # intervals: a first look waits for one, and for the GIL
_RELEASED_NS: Final = 500_000  # who goes on so late waited for the GIL
_FORCED: Final = 0.9  # of the interval after which the interpreter asks for it
_MOST_JOBS: Final = 2  # at a time: each costs some 20 µs
_LOOKED_NS: Final = attrgetter("looked_ns")


def install(session: Session) -> Undo | None:
    """Start the thread, and return the undo, which ends it."""
    interval_s = session.recorder.config.watchdog_interval_s
    if interval_s <= 0:
        return None
    pace = _Pace(session.recorder, interval_s)
    thread = OwnThread("whywait-watchdog", _watch, session.recorder, pace)
    thread.start()

    def undo() -> None:
        pace.stop()
        if thread.ident != get_ident():
            thread.join(timeout=5)
        pace.close()

    return undo


class _Pace:
    """How long the watchdog sleeps: an interval, or longer while there has been nothing to sample for a time. Each
    wake-up of a process that rests costs some 80 µs of CPU."""

    def __init__(self, recorder: Recorder, interval_s: float) -> None:
        self._recorder = recorder
        self._interval_s = interval_s
        self.interval_ns = int(interval_s * 1e9)
        self.late_ns = 0  # how long after it was due it went on, and did not wait for a CPU; 0 where that is not known
        self._busy_ns = perf_counter_ns()
        self._stopped = False
        # a plain lock, since waiting for an event costs a lock each time
        self._bell = _thread.allocate_lock()
        self._bell.acquire()
        self._alarm: Alarm | None = None
        with suppress(OSError, AttributeError):
            self._alarm = Alarm(self.interval_ns, _MOST_SETS)
        self._lively_ns = -_REST_AFTER_NS  # when the alarm was last not worth its cost

    def sleep(self) -> bool:
        """Return whether to go on."""
        recorder, alarm = self._recorder, self._alarm
        if alarm is not None:
            alarm.renew()
        recorder.ring = self._ring  # before the question: a request that begins after it rings
        now_ns = perf_counter_ns()
        if recorder.is_busy():
            self._busy_ns = now_ns
        rests = now_ns - self._busy_ns > _REST_AFTER_NS
        if not rests:
            recorder.ring = None
        if rests and alarm is not None and now_ns - self._lively_ns > _REST_AFTER_NS and self._may_sleep_soundly():
            self._sleep_soundly(alarm)
        else:
            pause_s = max(_REST_S, self._interval_s) if rests else self._interval_s
            before_ns = run_queue_ns()
            rung = self._bell.acquire(timeout=pause_s)
            late_ns, after_ns = perf_counter_ns() - now_ns - int(pause_s * 1e9), run_queue_ns()
            # where the kernel does not tell the run queue, it may have waited for a CPU
            is_known = not rung and before_ns is not None and after_ns is not None
            self.late_ns = late_ns - (after_ns or 0) + (before_ns or 0) if is_known else 0
        recorder.ring = None
        return not self._stopped

    def _may_sleep_soundly(self) -> bool:
        """Whether the alarm tells all that there is to look at: one loop, and no job whose next sample is due soon."""
        recorder = self._recorder
        tells = [loop.selects or loop.ended_ns for loop in recorder.loops]
        later = [held.looked_ns - held.start_ns > 2e9 * _SOUND_S for held in list(recorder.working.values())]
        return len(tells) < 2 and all(tells) and all(later) and not recorder.unsent

    def _sleep_soundly(self, alarm: Alarm) -> None:
        self.late_ns, loops = 0, self._recorder.loops[:1]
        for loop in loops:
            loop.alarm = alarm
            if loop.running_since_ns():
                alarm.set()
        try:
            if alarm.wait(_SOUND_S):
                self._lively_ns = perf_counter_ns()
        finally:
            for loop in loops:
                loop.alarm = None

    def work_goes_on(self) -> None:
        """There is something to sample outside requests."""
        self._busy_ns = perf_counter_ns()
        self._recorder.work_goes_on()

    def stop(self) -> None:
        """End the sleep, and the thread."""
        self._stopped = True
        self._ring()

    def close(self) -> None:
        """Release what the kernel holds for it, after `stop`."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None:
            alarm.close()

    def _ring(self) -> None:
        with suppress(RuntimeError):  # another thread has rung
            self._bell.release()
        if self._alarm is not None:
            self._alarm.ring()


def _watch(recorder: Recorder, pace: _Pace) -> None:
    holders = _Holders(recorder)
    recorder.look_at_loops = partial(_look_at_loops, recorder, pace, holders, {})
    while pace.sleep() and (look_at_loops := recorder.look_at_loops) is not None:
        try:
            if not _was_given_back(pace.late_ns):
                look_at_loops()  # first: a loop in C code that kept the GIL ends its callback as soon as it has it again
            holders.look()
            _look_at_unsent(recorder)
        except Exception as error:
            probe_failed("watchdog", error)
            break
    recorder.look_at_loops = None


def _was_given_back(late_ns: int) -> bool:
    """Whether who had the GIL probably gave it back before the interpreter asked for it, as in a send at its end: where it
    stands then is not where it computed meanwhile."""
    return _RELEASED_NS < late_ns < _FORCED * sys.getswitchinterval() * 1e9


def _look_at_loops(recorder: Recorder, pace: _Pace, holders: "_Holders", seen: "dict[int, _Seen]") -> None:
    try:
        if len(seen) > len(recorder.loops):
            seen.clear()  # of threads that have ended
        for loop in recorder.loops:
            run_start_ns = loop.running_since_ns()
            age_ns = perf_counter_ns() - run_start_ns
            if run_start_ns and age_ns >= _LONG_NS:
                if age_ns >= pace.interval_ns:
                    pace.work_goes_on()
                is_late = age_ns > _LATE * pace.interval_ns
                if (place := _look_at(seen, loop, run_start_ns, age_ns, is_late=is_late)) is not None:
                    holders.note(loop.native_id, place)
    except Exception as error:
        recorder.look_at_loops = None
        probe_failed("watchdog", error)


def _look_at_unsent(recorder: Recorder) -> None:
    for _ in range(len(recorder.unsent)):
        left = recorder.unsent.popleft()
        if not left.is_sent():
            recorder.unsent.append(left)


def _look_at(seen: "dict[int, _Seen]", loop: Loop, run_start_ns: int, age_ns: int, *, is_late: bool) -> Place | None:
    known = seen.get(loop.thread_id)
    if known is None or known.run_start_ns != run_start_ns:
        known = seen[loop.thread_id] = _Seen(run_start_ns, loop.sample if is_late else None)
    if age_ns >= known.next_age_ns:
        return known.look(loop, age_ns)
    return None


class _Holders:
    """Sample the thread that holds the GIL, while the sampler reports that others wait for it, and long jobs."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        # weak: a remaining manager thread of an executor is woken at exit, in a forked child for ever
        self._threads: WeakValueDictionary[int, threading.Thread] = WeakValueDictionary()
        self._own_id = threading.get_native_id()

    def look(self) -> None:
        sampler = self._recorder.sampler
        holder_id = sampler.header().waited_for if sampler is not None else 0
        chosen = {*self._long_jobs(perf_counter_ns()), holder_id} - {0, self._own_id}
        threads = {one: thread.ident or 0 for one in chosen if (thread := self._thread(one)) is not None}
        for one in chosen - threads.keys():
            self._recorder.working.pop(one, None)  # it has ended
        inside: list[tuple[bool, tuple[str, str]]] = []  # of each of them in turn
        places = places_of_threads(threads.values(), partial(_begin, inside)) if threads else {}
        for (native_id, ident), (is_inside, call) in zip(threads.items(), inside, strict=False):
            self.note(native_id, places[ident], waits=is_inside, call=call)

    def _long_jobs(self, now_ns: int) -> list[int]:
        """The threads of the jobs that have not been sampled for longest, each at growing intervals."""
        due, working = [], self._recorder.working
        for thread_id, held in list(working.items()):
            if held.end_ns and working.get(thread_id) is held:
                working.pop(thread_id, None)  # if it has just begun another, that has no samples
            elif now_ns - held.start_ns >= _LONG_NS and 2 * (now_ns - held.looked_ns) > held.looked_ns - held.start_ns:
                due.append(held)
        due = sorted(due, key=_LOOKED_NS)[:_MOST_JOBS]
        for held in due:
            held.looked_ns = now_ns
        return [held.thread_id for held in due]

    def note(
        self, native_id: int, place: Place | None, *, waits: bool = False, call: tuple[str, str] = ("", "")
    ) -> None:
        """Keep a sample of a thread."""
        thread = self._thread(native_id)
        if thread is not None:
            self._recorder.looks.append(HolderSeen(perf_counter_ns(), native_id, thread.name, place, waits, call))

    def _thread(self, native_id: int) -> threading.Thread | None:
        thread = self._threads.get(native_id)
        if thread is None or not thread.is_alive():
            self._threads = WeakValueDictionary({one.native_id: one for one in all_threads() if one.native_id})
            thread = self._threads.get(native_id)
        return thread


def _begin(inside: list[tuple[bool, tuple[str, str]]], frame: FrameType | None) -> FrameType | None:
    begin = interrupted(frame)
    inside.append((begin is not None and is_ours(begin.f_code.co_filename), library_call(begin)[:2]))
    return begin


def _note_call(calls: Counter[tuple[str, str]], frame: FrameType | None) -> FrameType | None:
    begin = interrupted(frame)
    call, package, *_ = library_call(begin)
    calls[call, package] += 1
    return begin


class _Seen:
    """The samples of one long callback, at growing intervals."""

    def __init__(self, run_start_ns: int, sample: tuple[int, Sample] | None) -> None:
        self.run_start_ns = run_start_ns
        self.next_age_ns = 0
        self.first: tuple[int, int] | None = None  # its age and its thread's CPU time at the first look, ns
        self.places: Counter[Place] = Counter()
        # a garbage collection has sampled it: within C code that held the GIL, where the first look comes late
        if sample is not None and sample[0] == run_start_ns:
            self.places[sample[1].place] += 1
        self.syscalls: Counter[str] = Counter()
        self.calls: Counter[tuple[str, str]] = Counter()  # of libraries, by the user's code
        self.cpu_share: float | None = None

    def look(self, loop: Loop, age_ns: int) -> Place | None:
        self.next_age_ns = int(age_ns * 1.2)
        place = places_of_threads((loop.thread_id,), partial(_note_call, self.calls))[loop.thread_id]
        if place is None or loop.run_start_ns != self.run_start_ns:
            return None
        self.places[place] += 1
        self._time(loop, age_ns)
        # what was in C until now ends as soon as it gets the GIL, which the next question releases
        self._tell(loop)
        syscall = _sleeps_in(loop.native_id)
        if syscall is not None and loop.run_start_ns == self.run_start_ns:
            self.syscalls[syscall] += 1
            self._tell(loop)
        return place

    def _tell(self, loop: Loop) -> None:
        chief = summed(self.places.most_common(), FUNCTION_OF)[0][0]
        slept_in = self.syscalls.most_common(1)[0][0] if self.syscalls else None
        call = self.calls.most_common(1)[0][0] if self.calls else ("", "")
        loop.sample = (self.run_start_ns, Sample(chief, slept_in, self.cpu_share, call))

    def _time(self, loop: Loop, age_ns: int) -> None:
        cpu_ns = cpu_ns_of(loop.native_id)
        first_age_ns, first_cpu_ns = self.first = self.first or (age_ns, cpu_ns)
        if age_ns > first_age_ns and cpu_ns:
            self.cpu_share = min((cpu_ns - first_cpu_ns) / (age_ns - first_age_ns), 1.0)


def _sleeps_in(native_id: int) -> str | None:
    """The system call in which a thread sleeps; None if it runs, or if the kernel does not show it."""
    try:
        with open(f"/proc/self/task/{native_id}/syscall", encoding="ascii") as file:
            word = file.read(32).split(maxsplit=1)[0]
    except (OSError, IndexError):
        return None
    if not word.isdigit():  # "running", or -1: stopped outside any call
        return None
    return call_name(int(word))
