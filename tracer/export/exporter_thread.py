"""The exporter thread: builds the spans of finished requests."""

import os
import threading
import time
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import inf
from operator import attrgetter
from time import perf_counter_ns, thread_time_ns
from typing import Final, TypeVar

from whywait.tracer.export.sdk_spans import SpanMaker
from whywait.tracer.export.span_queue import SpanQueue
from whywait.tracer.export.wall_clock import Clock
from whywait.tracer.host.interpreter import usable_cpus
from whywait.tracer.host.own_thread import OwnThread, all_threads, hide_here
from whywait.tracer.hotpath.opening.unfinished import tell_open
from whywait.tracer.hotpath.recorder import Recorder, logger
from whywait.tracer.offcpu.gil_holders import HolderPast
from whywait.tracer.offcpu.state_split import Memory
from whywait.tracer.offcpu.thread_observer import Observed
from whywait.tracer.records.background import BackgroundWait
from whywait.tracer.records.gil_holder import HolderSeen
from whywait.tracer.records.ids import new_trace_id
from whywait.tracer.records.loop import Callback, Look
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Job, Request
from whywait.tracer.records.thread_names import ThreadLife
from whywait.tracer.sampler.thread_samples import Samples
from whywait.tracer.schema import SIGNAL_CPU_RIVALS, SIGNAL_HOLDER, SIGNAL_RUN_QUEUE, SIGNAL_SAMPLER
from whywait.tracer.spans import request_spans
from whywait.tracer.spans.past import Past, ended_after
from whywait.tracer.spans.pools.history import PoolPast, Window
from whywait.tracer.spans.run_spans import background_span, lost_span

_LINGER_NS = 1_000_000_000  # how long an ended request is kept for jobs that outlive it
# A computing thread makes each waiter for the GIL wait a whole switch interval, 5 ms, at each thread change of a
# request. So this thread works in slices shorter than that, and sleeps in between. A sleep costs as much as some
# ten spans, so slices are not shorter than this.
_SLICE_NS = 300_000
_PAUSE_S = 0.005
_PAUSE_BEHIND_S = 0.001  # when requests pile up
_PAUSE_ALONE_S = 0.0002  # while no request is open
# behind are so many requests, or so much work, by what requests took so far, of the time that `stop` has: else they were lost there
_BEHIND: Final = 200
_BEHIND_SHARE: Final = 0.4
_EACH_NS: Final = 500_000  # of the first request
_SHARE: Final = 1 / 16  # of the newest request, in their running mean
_ENDED_LOOPS = 64  # of threads that have ended: kept for requests that are open or not exported yet
_NOT_EXPORTED: Final = (
    "whywait: could not build spans of finished requests: %r. These requests are missing from the traces; the service "
    "continues. Please report it."
)
_LEFT: Final = (
    "whywait: %d finished requests of process %d are missing from the traces: there was no more time at its end to build "
    "their spans. With WHYWAIT_EXIT_S (seconds) it waits for them."
)
_REST_INTERVALS: Final = 3  # the next one after one without work
# of the time that `stop` has: for building spans, and for exporting them; the rest is for what tells of the loss
_BUILDING, _EXPORTING = 0.65, 0.9
_AHEAD: Final = 4_096  # spans in each queue, beyond which none are built at the end: they would compete for the GIL
_AT_END: Final = "request at the process's end, for which there was no more time (WHYWAIT_EXIT_S)"
_NO_SAMPLES: Final = (
    "whywait: continues without samples of thread states: %s. Waits for the GIL and for untraced locks are part of "
    "unexplained. Run `whywait doctor` for the reason."
)
_OF_SAMPLER: Final = (SIGNAL_SAMPLER, SIGNAL_HOLDER, SIGNAL_CPU_RIVALS)
_NEVER_NS = 2**63
_SETTLE_NS = 20_000_000  # the loop's own record of the request's last callback comes right after it

T = TypeVar("T", HolderSeen, Occupancy, ThreadLife)


class Outlet:
    """Exports the recorder's finished requests. Call `start`, then `stop`; a forked child starts a new one."""

    def __init__(
        self, recorder: Recorder, maker: SpanMaker, follow: Callable[[], None], queues: Sequence[SpanQueue] = ()
    ) -> None:  # fmt: skip
        """`follow` is called at each interval: a service may have changed its provider. `queues` are whywait's own."""
        self._recorder = recorder
        self._maker = maker
        self._follow = follow
        self._queues = queues
        self._clock = Clock()
        self._pending: deque[Request] = deque()
        self._building: deque[Request] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._until_s = self._building_until_s = inf
        self._gave_up = False  # the thread has not ended in time: what it had left is counted
        self._samples: Samples | None = None
        self._memory = Memory()
        self._sampler_lost = False
        self._missed = 0  # samples, of these
        self._slice_ns = 0  # when the current slice of work began
        self._each_ns = float(_EACH_NS)  # of this thread's CPU time, to build one request
        self._thread: threading.Thread | None = None

    def hand_to(self, maker: SpanMaker) -> None:
        self._maker = maker

    def start(self) -> None:
        self._stopping = False
        self._wake.clear()
        self._thread = OwnThread("whywait-export", self._run)
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Export the remaining requests, tell in a last span what was lost, and end the thread."""
        now_s = time.monotonic()
        self._until_s, self._building_until_s = now_s + _EXPORTING * within_s, now_s + _BUILDING * within_s
        for queue in self._queues:
            queue.hurry(self._until_s)
        self._stopping = True
        self._wake.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread.ident != get_ident():
            thread.join(timeout=within_s)
            if thread.is_alive():
                self._give_up(len(self._recorder.finished) + len(self._pending) + len(self._building))
                self._gave_up = True
            if left := self._recorder.lost[_AT_END]:
                logger.warning(_LEFT, left, os.getpid())

    def forget(self) -> None:
        """After a fork: drop the parent's pending requests, which the parent exports."""
        self._pending.clear()
        self._building.clear()
        self._recorder.finished.clear()
        self._recorder.background.clear()
        self._wake = threading.Event()

    def _run(self) -> None:
        interval_s, rests = self._recorder.config.export_interval_s, False
        while not self._stopping:
            hide_here()
            self._wake.wait(_REST_INTERVALS * interval_s if rests else interval_s)
            rests = not (self._recorder.finished or self._pending or self._recorder.is_busy())
            self._follow()
            self._tell_open()
            if not self._stopping:  # else the sampler writes first what it is still making
                self._drain(everything=False)
            if self._clock.follow():
                logger.info("whywait: the wall clock was set. Later spans use the new time")
        if self._recorder.sampler is not None:
            self._look_at_sampler()
            self._recorder.sampler.end()
        self._drain(everything=True)
        self._tell_lost()

    def _give_up(self, left: int) -> None:
        """Count requests for which there is no more time."""
        if left and not self._gave_up:
            self._recorder.lose(_AT_END, left)

    def _tell_lost(self) -> None:
        for queue in self._queues:
            queue.settle()
        lost = dict(self._recorder.lost)
        if lost:
            try:
                self._maker.make(lost_span(lost, new_trace_id(), perf_counter_ns()), self._clock.unix_ns)
            except Exception as error:
                logger.warning(_NOT_EXPORTED, error)

    def _is_late(self) -> bool:
        """At the end: wait while the queues have enough to export, and return whether the time is over."""
        while (
            self._queues
            and min(one.waiting for one in self._queues) > _AHEAD
            and time.monotonic() < self._building_until_s
        ):
            time.sleep(_PAUSE_BEHIND_S)
        return time.monotonic() >= self._building_until_s

    def _drain(self, *, everything: bool) -> None:
        try:
            self._look_at_sampler()
            finished = self._recorder.finished
            while finished:
                self._pending.append(finished.popleft())
            self._export_ready(everything)
            self._recorder.forget_ended_loops(_ENDED_LOOPS if self._pending or self._recorder.open else 0)
            background = self._recorder.background
            while background:
                name, block = background.popleft()
                span = background_span(name, block, new_trace_id(), self._recorder.signals)
                self._maker.make(span, self._clock.unix_ns)
        except Exception as error:  # a failing export must not affect the host
            self._recorder.lose("export")
            logger.warning(_NOT_EXPORTED, error)

    def _tell_open(self) -> None:
        limit_ns = self._recorder.config.tell_open_ns
        if limit_ns:
            try:
                tell_open(self._recorder, limit_ns)
            except Exception as error:
                self._recorder.lose("export")
                logger.warning(_NOT_EXPORTED, error)

    def _export_ready(self, everything: bool) -> None:
        now = _NEVER_NS if everything else perf_counter_ns()
        pending, self._pending = self._pending, deque()
        ready: list[Request] = []
        for one in pending:
            (ready if self._is_settled(one, now) else self._pending).append(one)
        if not ready:
            return
        earliest_ns = min(map(attrgetter("start_ns"), ready))
        past = self._past_since(earliest_ns, map(_window, ready))
        lost = dict(self._recorder.lost)
        observed = self._observed(past, earliest_ns)
        self._maker.look()
        self._building.extend(ready)
        self._build_all(past, lost, observed)

    def _build_all(self, past: Past, lost: Mapping[str, int], observed: Observed | None) -> None:
        failed: list[Exception] = []
        while self._building and not (self._stopping and self._is_late()):
            began_ns = thread_time_ns()
            try:
                if self._samples is not None:
                    self._samples.keep_up()
                self._build(self._building[0], past, lost, observed)
            except Exception as error:  # the others are whole
                failed.append(error)
            finally:
                self._building.popleft().release()
            self._each_ns += _SHARE * (thread_time_ns() - began_ns - self._each_ns)
        if failed:
            self._recorder.lose("export", len(failed))
            logger.warning(_NOT_EXPORTED, failed[-1])
        self._give_up(len(self._building))
        while self._building:  # else the interpreter's end would walk over their records, again and again
            self._building.popleft().release()

    def _build(self, request: Request, past: Past, lost: Mapping[str, int], observed: Observed | None) -> None:
        signals, resolution_ns = self._recorder.signals, self._recorder.config.max_resolution_ns
        for spec in request_spans(request, past, signals, resolution_ns, lost, observed, self._pause, usable_cpus()):
            if request.provisional:
                spec = spec._replace(provisional=request.provisional)
            self._maker.make(spec, self._clock.unix_ns)
            self._pause()

    def _pause(self) -> None:
        if self._stopping or perf_counter_ns() - self._slice_ns < _SLICE_NS:
            return
        if not self._recorder.is_busy():
            time.sleep(_PAUSE_ALONE_S)
        else:
            left = len(self._recorder.finished) + len(self._pending) + len(self._building)
            behind = left > _BEHIND or left * self._each_ns > _BEHIND_SHARE * self._recorder.config.exit_s * 1e9
            time.sleep(_PAUSE_BEHIND_S if behind else _PAUSE_S)
        if (look_at_loops := self._recorder.look_at_loops) is not None:
            look_at_loops()
        self._slice_ns = perf_counter_ns()

    def _past_since(self, start_ns: int, windows: Iterable[Window]) -> Past:
        callbacks: dict[int, list[Callback]] = {}
        looks: dict[int, list[Look]] = {}
        background: dict[int, list[BackgroundWait]] = {}
        for loop in self._recorder.loops:
            callbacks.setdefault(loop.thread_id, []).extend(ended_after(list(loop.callbacks), start_ns))
            looks.setdefault(loop.thread_id, []).extend(ended_after(list(loop.looks), start_ns))
            for one in ended_after(list(loop.background_waits), start_ns):
                background.setdefault(id(one.task), []).append(one)
        return Past(callbacks, looks, PoolPast(windows, self._pause), background)

    def _is_settled(self, request: Request, now: int) -> bool:
        age_ns = now - request.end_ns
        if age_ns < _SETTLE_NS:
            return False
        if age_ns >= _LINGER_NS:
            return True
        if self._samples is not None and not self._samples.reaches(request.end_ns):
            return False
        return all(one.end_ns or not isinstance(one, Job) for one in request.activities)

    # --- samples --------------------------------------------------------------------------------
    def _look_at_sampler(self) -> None:
        process = self._recorder.sampler
        if process is None or process.ended:
            return
        process.look()
        if self._recorder.is_busy():
            process.work_goes_on()
        if process.failure:
            self._lose_sampler(process.failure)
        elif process.ready and self._samples is None:
            self._samples = Samples(process)
            told = {SIGNAL_SAMPLER: True, SIGNAL_HOLDER: process.tells_holder}
            told[SIGNAL_CPU_RIVALS] = SIGNAL_RUN_QUEUE in self._recorder.signals
            self._recorder.signals += tuple(filter(told.get, told))

    def _lose_sampler(self, why: str) -> None:
        if not self._sampler_lost:
            self._sampler_lost = True
            self._samples = None
            self._recorder.lose("sampler")
            self._recorder.signals = tuple(one for one in self._recorder.signals if one not in _OF_SAMPLER)
            logger.warning(_NO_SAMPLES, why)

    def _observed(self, past: Past, start_ns: int) -> Observed | None:
        samples = self._samples
        if samples is None:
            return None
        samples.read(self._pause)
        if samples.missed > self._missed:
            self._recorder.lose("sample", samples.missed - self._missed)
            self._missed = samples.missed
        return Observed(samples, self._memory, self._holder_past(past, start_ns))

    def _holder_past(self, past: Past, start_ns: int) -> HolderPast:
        jobs = _by_thread(filter(lambda one: not 0 < one.end_ns <= start_ns, self._recorder.holds.copy()))
        looks = _by_thread(one for one in self._recorder.looks.copy() if one.at_ns > start_ns)
        names = {one.native_id: one.name for one in all_threads() if one.native_id}
        self._recorder.threads.settle(names.keys())
        callbacks = {loop.native_id: past.callbacks.get(loop.thread_id, ()) for loop in self._recorder.loops}
        awake = {thread_id: [one for one in of if not one.waits] for thread_id, of in looks.items()}
        return HolderPast(jobs, callbacks, looks, awake, names, _by_thread(self._recorder.threads))


def _window(request: Request) -> Window:
    return request.start_ns, max(request.end_ns, *(one.end_ns for one in request.activities))


def _by_thread(records: Iterable[T]) -> dict[int, list[T]]:
    found: dict[int, list[T]] = {}
    for one in records:
        found.setdefault(one.thread_id, []).append(one)
    return found
