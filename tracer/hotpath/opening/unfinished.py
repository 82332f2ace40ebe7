"""Requests that are still open where their session or their loop ends, or for long already: a copy of what is recorded,
as if they ended now. To each task and job that goes on is added where it stands, and who or what would end its wait.

    handler |-step-|~~~~ awaits the job ~~~~| now
    job            |~~~~~~ is queued ~~~~~~~| now
"""

import asyncio
import gc
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from copy import copy
from functools import partial
from time import perf_counter_ns
from types import CoroutineType, FrameType, FunctionType, MethodDescriptorType, WrapperDescriptorType
from typing import Any, Final

from whywait.tracer.host.code_location import (
    Place,
    Site,
    await_site,
    is_library,
    is_ours,
    place_of_code,
    places_of_threads,
)
from whywait.tracer.host.introspection import BOUND, local_of, name_of, own
from whywait.tracer.host.own_thread import all_threads
from whywait.tracer.host.thread_clocks import cpu_ns_of
from whywait.tracer.hotpath.loop_history import sample_of
from whywait.tracer.hotpath.opening.open_request import all_said, name_request
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.hotpath.thread_waits import called
from whywait.tracer.hotpath.waits import record_wait
from whywait.tracer.records.current import here
from whywait.tracer.records.ids import new_span_id
from whywait.tracer.records.lock_holds import Hold, Waited
from whywait.tracer.records.loop import Block, Sample
from whywait.tracer.records.request import NOBODY, TIMER, Activity, Job, OwnSpan, Phase, Request, Unit, Waker
from whywait.tracer.schema import FIRST_BYTE_NS, WAIT_AWAIT, WAIT_BLOCKING, WAIT_LOCK

LEAST_NS: Final = 200_000_000  # a request that is open for less was merely interrupted
_MOST: Final = 200  # at an end, the longest; the others are counted
_MOST_AT_ONCE: Final = 10  # while they go on
_LONGEST_NS: Final = 300_000_000  # the longest that an end is delayed
_MOST_TASKS: Final = 2_000  # that are asked whether they have something
_DEEPEST: Final = 50
# what no job of one's own ends
_SIGNALS: Final = ("asyncio.locks", "asyncio.queues", "asyncio.streams", "anyio.")
_LEAVES: Final = frozenset(("__aexit__", "__exit__"))  # what a `with` block keeps of what it has entered
_UNBOUND: Final = (FunctionType, MethodDescriptorType, WrapperDescriptorType)


def record_open(recorder: Recorder, loop: Any = None) -> None:
    """Their session, or their loop, ends: close the requests that are open, and export each as one that ends now. Never
    raises."""
    try:
        now = perf_counter_ns()
        for left in list(recorder.unsent):  # their responses were written
            if loop is None or left.request.loop is here.loop:
                left.is_sent(is_last=True)
        found = _open_for(recorder, now, LEAST_NS, loop)
        look = _Look(recorder, found, now)
        for number, request in enumerate(found):
            there_is_time = number < _MOST and perf_counter_ns() - now < _LONGEST_NS
            made = None
            with suppress(Exception):  # the host's objects may answer in any way
                made = look.copy_of(request) if there_is_time else None
            request.open = False
            if recorder.open.pop(id(request), None) is None:
                continue
            if made is None:
                recorder.lose("open request")
            else:
                recorder.open[id(made)] = made
                recorder.finish(made, error=False)
    except Exception:  # the host ends all the same
        recorder.lose("open request")


def tell_open(recorder: Recorder, limit_ns: int) -> None:
    """Export what is known of those that are open for longer than this, once each; they go on. A response that has begun
    may take long."""
    now = perf_counter_ns()
    found = [
        one for one in _open_for(recorder, now, limit_ns)
        if not one.told_open and FIRST_BYTE_NS not in (one.ingress or ())
    ]  # fmt: skip
    if not found:
        return
    look = _Look(recorder, found[:_MOST_AT_ONCE], now)
    for request in found[:_MOST_AT_ONCE]:
        request.told_open = True
        recorder.tell_open(request, look.copy_of(request, goes_on=True))


def _open_for(recorder: Recorder, now: int, least_ns: int, loop: Any = None) -> list[Request]:
    """The open requests, the longest first."""
    every = (one for one in list(recorder.open.values()) if now - one.start_ns >= least_ns)
    return sorted((one for one in every if loop is None or _loop_of(one) is loop), key=lambda one: one.start_ns)


def _loop_of(request: Request) -> Any:
    task = request.root_task() if request.root_task is not None else None
    return task.get_loop() if task is not None else None


class _Look:
    """One look at tasks and threads, for several requests."""

    def __init__(self, recorder: Recorder, requests: Iterable[Request], now_ns: int) -> None:
        self._now_ns = now_ns
        loops = {id(loop): loop for one in requests if (loop := _loop_of(one)) is not None}
        self._tasks = {id(task): task for loop in loops.values() for task in asyncio.all_tasks(loop)}
        self._activities = {
            one.task_key: one
            for request in list(recorder.open.values()) for one in request.activities[:_MOST_TASKS] if not one.end_ns
        }  # fmt: skip
        self._inside: dict[int, Counter[Any]] | None = None
        self._idents = {one.native_id: one.ident or 0 for one in all_threads() if one.native_id}

    def copy_of(self, request: Request, *, goes_on: bool = False) -> Request:
        """Return the request as if it ended now; with ids of its own if it goes on."""
        made = _copied(request, self._now_ns, goes_on=goes_on)
        for activity in made.activities:
            if activity.end_ns:
                continue
            if isinstance(activity, Job):
                if activity.start_ns and activity.passage is None:
                    self._thread_stands(activity, activity.thread_id, activity.start_ns)
            elif activity is made.root and made.thread_id:
                self._thread_stands(activity, made.thread_id, activity.born_ns)
            elif (task := self._tasks.get(activity.task_key)) is not None:
                self._task_stands(activity, task)
        made.root.end_ns = self._now_ns
        return made

    def _task_stands(self, activity: Activity, task: "asyncio.Task[Any]") -> None:
        if activity.step_start_ns < activity.stop_ns:
            site = await_site(task.get_coro())
            by = self._would_end(activity, task, site)
            record_wait(activity, WAIT_AWAIT, activity.stop_ns, self._now_ns, self._now_ns, by, site, 0)
        elif (loop := activity.loop or activity.request.loop) is not None:  # it runs, or blocks its loop
            sample = sample_of(loop, loop.run_start_ns)
            if sample is None and (place := self._place(loop.native_id)) is not None:
                sample = Sample(place, None)
            ran_ns = self._now_ns - activity.step_start_ns
            cpu_ns = min(max(cpu_ns_of(loop.native_id) - activity.step_cpu_ns, 0), ran_ns)
            activity.blocks = [*(activity.blocks or ()), Block(activity.step_start_ns, self._now_ns, cpu_ns, sample, 0)]
            activity.cpu_ns, activity.run_ns = activity.cpu_ns + cpu_ns, activity.run_ns + ran_ns
            activity.steps, activity.stop_ns = activity.steps + 1, self._now_ns

    def _thread_stands(self, activity: Activity, thread_id: int, start_ns: int) -> None:
        frames: list[FrameType] = []
        place = self._place(thread_id, frames)
        activity.cpu_ns = min(max(cpu_ns_of(thread_id) - activity.step_cpu_ns, 0), self._now_ns - start_ns)
        activity.end_ns = activity.stop_ns = self._now_ns
        if frames and place is not None:
            frame = frames[-1]
            what, since_ns = _what(frame), local_of(frame, "start_ns")
            waits_for_job = what.startswith("concurrent.")
            by = (_latest_open(activity, Job) or NOBODY) if waits_for_job else NOBODY
            kind = WAIT_AWAIT if waits_for_job else WAIT_LOCK if what.startswith("threading.") else WAIT_BLOCKING
            kind = WAIT_BLOCKING if what.startswith("threading.Thread.") else kind
            made_at = getattr(local_of(frame, "lock"), "_made_at", None)
            waited = Waited(what, made_at, waiters=int(kind == WAIT_LOCK)) if not waits_for_job else None
            site = Site(place, what, what.rpartition(".")[0])
            record_wait(activity, kind, since_ns, self._now_ns, self._now_ns, by, site, 0, True, None, waited)

    def _place(self, thread_id: int, frames: list[FrameType] | None = None) -> Place | None:
        """Where a thread stands; `frames` gets those of ours in which it waits, the outermost last."""
        ident = self._idents.get(thread_id, 0)
        if ident == threading.get_ident():
            return None
        return places_of_threads((ident,), None if frames is None else partial(_look_for_waits, frames))[ident]

    def _would_end(self, activity: Activity, task: Any, site: Site | None) -> Waker:
        # 1. a task of its own, or one of those that it gathers
        awaited = own(task, "_fut_waiter")
        for one in (awaited, *(own(awaited, "_children") or ())):
            known = activity.request.tasks.get(id(one)) if one is not None and not one.done() else None
            if known is not None and known is not activity:
                return known
        # 2. the clock, or what others have
        if site is not None and site.leaf_function == "sleep":
            return TIMER
        module = site.leaf_module if site is not None else ""
        if module.startswith(_SIGNALS) and site is not None and "thread" not in site.leaf_function:
            return self._holder(task) or NOBODY
        # 3. a job that it has handed over, or tasks that it waits for in another way
        return _latest_open(activity, Activity if module.startswith("asyncio.") else Job) or NOBODY

    def _holder(self, task: Any) -> Hold | None:
        """Who is inside the `with` block of what the task waits to enter."""
        wanted = _entered(task)
        if wanted is None:
            return None
        if self._inside is None:
            self._inside = _insides(list(self._tasks.values())[:_MOST_TASKS])
        for other, times in self._inside.get(id(wanted), {}).items():
            if times > (_entered(other) is wanted):  # who waits to enter has what leaves, too
                return self._hold_of(other)
        return None

    def _hold_of(self, task: Any) -> Hold:
        site, known = await_site(task.get_coro()), self._activities.get(id(task))
        place, name = site.user if site is not None else None, name_of(task.get_coro())
        if known is None:
            return Hold(self._now_ns, place, 0, 0, name, "")
        return Hold(self._now_ns, place, known.request.trace_id, known.span_id, known.name or name, "")


def _latest_open(activity: Activity, kind: type[Activity]) -> Activity | None:
    """What this activity has begun latest, and goes on."""
    found = (one for one in reversed(activity.request.activities) if one.spawner is activity and isinstance(one, kind))
    return next((one for one in found if not one.done_ns and (not one.end_ns or isinstance(one, Job))), None)


def _chain(task: Any) -> Iterator[Any]:
    """The coroutines of a task, the outermost first."""
    coroutine = task.get_coro()
    for _ in range(_DEEPEST):
        if type(coroutine) is not CoroutineType:
            return
        yield coroutine
        coroutine = coroutine.cr_await


def _entered(task: Any) -> Any:
    """The object whose method a task awaits last of all; None where it is the user's."""
    *_, last = (None, *_chain(task))
    frame = last.cr_frame if last is not None else None
    return local_of(frame, "self") if frame is not None and is_library(frame.f_code.co_filename) else None


def _insides(tasks: Iterable[Any]) -> "dict[int, Counter[Any]]":
    """By the id of an object, the tasks that have entered `with` blocks around it, or begun to, and how often."""
    found: defaultdict[int, Counter[Any]] = defaultdict(Counter)
    for task in tasks:
        for coroutine in _chain(task):
            kept = gc.get_referents(coroutine)
            for one, above in zip(kept, [*kept[1:], None], strict=True):
                if getattr(one, "__name__", "") not in _LEAVES:
                    continue
                if type(one) in BOUND:
                    found[id(one.__self__)][task] += 1
                elif type(one) in _UNBOUND:  # since Python 3.14: what it is of lies above it
                    found[id(above)][task] += 1
    return found


def _look_for_waits(frames: list[FrameType], frame: FrameType | None) -> FrameType | None:
    at = frame
    while at is not None and len(frames) < _DEEPEST:
        times = is_ours(at.f_code.co_filename) and local_of(at, "inside") is not None
        if times and isinstance(local_of(at, "start_ns"), int):
            frames.append(at)
        at = at.f_back
    return frame


def _what(frame: FrameType) -> str:
    """What a thread waits for in this function of ours."""
    known = local_of(frame, "what") or getattr(local_of(frame, "lock"), "what", "")
    of_future = local_of(frame, "future") is not None or local_of(frame, "witness") is not None
    return known or ("concurrent.futures.Future.result" if of_future else called(frame)[0])


def _copied(request: Request, now: int, *, goes_on: bool) -> Request:
    server_span_id = new_span_id() if goes_on else request.server_span_id
    made = Request(request.trace_id, server_span_id, request.sampled_flags, request.start_ns, _MOST, request.loop)
    for name in ("trace_state", "begun_ns", "ingress", "lost", "thread_id", "name"):
        setattr(made, name, getattr(request, name))
    made.unfinished, made.provisional, made.open, made.end_ns = True, request.root.span_id * goes_on, False, now
    twins = {id(one): copy(one) for one in request.activities[:]}
    for one in twins.values():
        one.request, one.spawner = made, twins.get(id(one.spawner), one.spawner)
        one.waits = [wait._replace(by=twins.get(id(wait.by), wait.by)) for wait in one.waits]
        if goes_on:
            one.span_id = new_span_id()
            if isinstance(one, Job):
                one.run_id = new_span_id()
    made.root, made.activities = twins[id(request.root)], list(twins.values())
    made.tasks = {key: twins[id(one)] for key, one in request.tasks.copy().items() if id(one) in twins}
    made.phases = [
        one._replace(activity=twins[id(one.activity)]) for one in request.phases[:] if id(one.activity) in twins
    ]
    _name(made, request)
    return made


def _name(made: Request, request: Request) -> None:
    """Give the copy its name, and the span that the request would have."""
    unit, root, host = Unit(""), made.root, request.own_span
    with suppress(Exception):  # the host's objects may not be ready
        unit = request.server.so_far() if request.server is not None else unit
    root.code = unit.code or root.code
    stamped = host.stamped if host is not None else None
    known = request.name or (stamped.name if stamped is not None else "") or unit.name
    name_request(made, known or root.name, failed=False)
    if host is None and not request.name:  # the span of others is above it, and may come
        root.name = made.name
        return
    root.parent_id = made.server_span_id
    if host is None:
        place = place_of_code(root.code) if root.code is not None else None
        made.root_phase = Phase(
            made.name, made.server_span_id, 0, root, made.start_ns, made.end_ns, -1, None, place, "", False
        )
        return
    made.own_span = OwnSpan(host.kind, host.start_ns, host.parent_id)
    made.own_span.describe = partial(all_said, unit.attributes, host.route, stamped)
    made.own_span.within = host.within[:]
