"""Every `multiprocessing.Pool`, and its kin of threads: what is asked of it goes to a thread of its own, which hands it task
by task to the workers; another takes the results."""

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial, wraps
from time import perf_counter_ns
from typing import Any, Final, NamedTuple

from whywait.tracer.host.code_location import Place, caller_place
from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.host.otel_context import current_span_id
from whywait.tracer.hotpath.core import run_job
from whywait.tracer.hotpath.jobs import job_of
from whywait.tracer.hotpath.pools import occupancy_of, pool_of
from whywait.tracer.hotpath.recorder import safely
from whywait.tracer.hotpath.thread_state import deliver
from whywait.tracer.probes.patches import Patches, wrap_when_imported
from whywait.tracer.probes.probe import Session, Undo, always
from whywait.tracer.probes.process_pool.process_queue import ProcessQueue
from whywait.tracer.probes.process_pool.way import Stamps, Way, stand
from whywait.tracer.probes.threads.thread_pool import start_worker, timed_shutdown
from whywait.tracer.records.current import current_activity
from whywait.tracer.records.process_job import Passage
from whywait.tracer.records.request import Activity, Job, Pool
from whywait.tracer.schema import POOL_NAME_PROCESSES

name: Final = "multiprocessing pool"
available: Final = always
needs: Final[tuple[str, ...]] = ()  # to look for names would import the module
_POOL: Final = "multiprocessing.pool.Pool."
_RESULTS: Final = tuple(
    f"multiprocessing.pool.{one}._set" for one in ("ApplyResult", "MapResult", "IMapIterator", "IMapUnorderedIterator")
)
_OF_POOL = (
    "_cache", "_check_running", "_inqueue", "_outqueue", "_pool", "_processes", "_repopulate_pool", "_taskqueue",
    "terminate",
)  # fmt: skip
later: Final = (*(f"{_POOL}{one}" for one in _OF_POOL), *_RESULTS)
_ENDS = "_whywait_ends"  # on the host's result: what is called as each of its tasks ends
_CHUNKS = ("mapstar", "starmapstar")  # run the user's function for many
_attaching = threading.Lock()


class Asked(NamedTuple):
    """Who asked the pool for something, and when."""

    by: Activity | None
    at_ns: int
    parent_id: int
    place: Place | None


def install(_: Session) -> Undo:
    """Wrap the pool's methods, now or when its module is imported."""
    attached: ByIdentity[_Tasks] = ByIdentity()

    def tasks_of(pool: Any, *, new: bool = False) -> _Tasks:
        with _attaching:
            found = attached.get(pool)
            if found is None:
                found = (_Threads if _is_of_threads(pool) else _Processes)(pool, _record_of(pool, new=new))
                attached.set(pool, found)
            return found

    wraps_of: dict[str, Callable[[Any], Any]] = {
        f"{_POOL}_check_running": partial(_checks, tasks_of),
        f"{_POOL}_repopulate_pool": partial(_starts, tasks_of),
        f"{_POOL}terminate": lambda plain: timed_shutdown(plain, _record_of, name),
        **dict.fromkeys(_RESULTS, _sets),
    }
    undo = wrap_when_imported(name, wraps_of, lambda plain, wrap: wrap(plain))

    def take_out() -> None:
        undo()
        for tasks in attached.values():
            tasks.patches.undo()

    return take_out


def _checks(tasks_of: Callable[[Any], "_Tasks"], plain: Any) -> Any:
    """It is called before anything is asked of the pool, whose threads know its queue."""

    @wraps(plain)
    def _check_running(self: Any) -> None:
        plain(self)
        if type(self._taskqueue) not in _KINDS:
            safely(name, lambda: tasks_of(self).stand_in(self))

    return _check_running


def _starts(tasks_of: Callable[..., "_Tasks"], plain: Any) -> Any:
    """It is called as the pool is made, before its threads are."""

    @wraps(plain)
    def _repopulate_pool(self: Any) -> None:
        safely(name, tasks_of, self, new=True)
        start_worker(plain, self, _record_of, name)

    return _repopulate_pool


def _sets(plain: Any) -> Any:
    @wraps(plain)
    def _set(self: Any, i: int, obj: Any) -> None:
        safely(name, _ended, self, i, obj)
        plain(self, i, obj)

    return _set


def _ended(result: Any, index: int, obj: Any) -> None:
    ends = vars(result).get(_ENDS, {}).pop(index, None)
    if ends is not None:
        ends("ok" if obj[0] else "error")


def _is_of_threads(pool: Any) -> bool:
    return not hasattr(pool._inqueue, "_writer")


def _record_of(pool: Any, *, new: bool = False) -> Pool:
    of_threads = _is_of_threads(pool)
    record = pool_of(pool, "ThreadPool" if of_threads else POOL_NAME_PROCESSES, pool._processes, new=new)
    record.of_processes = not of_threads
    return record


class _Tasks:
    """Stands for a pool's queue of what is asked of it, until the patches are undone."""

    def __init__(self, pool: Any, record: Pool) -> None:
        self.pool = record
        self.patches = Patches()
        self._results, self._plain = pool._cache, pool._taskqueue

    def stand_in(self, pool: Any) -> None:
        """Take the queue's place."""
        with _attaching:
            if pool._taskqueue is self._plain:
                self.patches.replace(pool, "_taskqueue", self)

    def put(self, item: Any) -> None:
        """Called by who asks; the pool's own thread takes the tasks one by one."""
        tasks, *more = item
        asked = safely(name, lambda: Asked(current_activity(), perf_counter_ns(), current_span_id(), caller_place()))
        self._plain.put((tasks if asked is None else self._handed_over(tasks, asked), *more))

    def _handed_over(self, tasks: Any, asked: Asked) -> Iterator[Any]:
        for task in tasks:
            yield safely(name, self._task, task, asked) or task

    def _task(self, task: Any, asked: Asked) -> Any:
        number, index, function, args, _ = task
        if getattr(function, "__name__", "") in _CHUNKS:
            function, args = args[0][0], ()
        job = None
        if asked.by is not None and asked.by.request.open:
            job = job_of(asked.by, asked.at_ns, asked.parent_id, self.pool, function, args)
        ends, task = self.seen(task, function, args, job, asked)
        result = self._results.get(number)
        if result is not None:
            vars(result).setdefault(_ENDS, {})[index] = ends
        return task

    def seen(
        self, task: Any, function: Any, args: Any, job: Job | None, asked: Asked
    ) -> tuple[Callable[[str], None], Any]:
        """A task goes to a worker: return what to call as it ends, and the task that goes there."""
        raise NotImplementedError


class _Threads(_Tasks):
    """The worker runs it between two readings of its clocks."""

    def seen(
        self, task: Any, function: Any, args: Any, job: Job | None, asked: Asked
    ) -> tuple[Callable[[str], None], Any]:
        number, index, plain, *more = task
        held = occupancy_of(self.pool, job, function, args)
        return lambda _: deliver(job), (number, index, partial(run_job, self.pool, job, held, plain), *more)


class _Processes(_Tasks):
    """What goes to a worker, and comes, is seen in the threads of the pool."""

    def __init__(self, pool: Any, record: Pool) -> None:
        super().__init__(pool, record)
        self._way = way = Way(ProcessQueue(pool, record), name)
        self._taker = 0  # the thread that takes results
        way.stamp(pool._inqueue._writer, "_send_bytes", way.sends)
        self._results_come = pool._outqueue._reader.poll
        way.stamp(pool._outqueue._reader, "_recv_bytes", self._receives)
        self.patches.add("the way of tasks to workers", way.undo)

    def _receives(self, *_: Any) -> Stamps:
        with suppress(OSError):  # it was closed: the plain call says so
            self._results_come(None)  # the wait for one is no part of taking it
        self._taker = threading.get_ident()
        return (yield from self._way.receives())

    def seen(
        self, task: Any, function: Any, args: Any, job: Job | None, asked: Asked
    ) -> tuple[Callable[[str], None], Any]:
        way, now = self._way, perf_counter_ns()
        passage = Passage(way.queue.calls, job, occupancy_of(self.pool, job, function, args), asked.place, now)
        if job is not None:
            job.passage = passage
        way.queue.enter(passage, now)
        way.put.append(passage)
        way.sent = stand()
        return lambda outcome: way.done(passage, outcome, here=threading.get_ident() == self._taker), task


_KINDS: Final = (_Threads, _Processes)
