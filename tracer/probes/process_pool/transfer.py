"""What lies between a process pool's `submit` and its worker: pickling, the pipe there and the pipe back.

All of it happens in threads of the pool, in this process. A call item is known by its identity from where it
is handed over to where it is pickled, and nothing is added to what is pickled: the worker gets the bytes that
it would get without us.
"""

import functools
import threading
from collections.abc import Callable
from importlib import import_module
from time import perf_counter_ns
from typing import Any
from weakref import ref

from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.host.introspection import own, take_this_frame_out
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.probes.process_pool.pool_state import Came, ProcessLine, Stand
from whywait.tracer.probes.process_pool.worker_slots import Entry
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.process_job import Passage

PROBE = "process pool"
ENTRY_ATTRIBUTE = "_whywait_entry"  # on the host's Future: it must not outlive it
_MOST_HANDED = 10_000


class _Here(threading.local):
    submitting: tuple[Entry, Callable[[Any], None]] | None = None
    started = False  # a process, in the midst of a `submit`
    pickled: tuple[ProcessLine, Entry, Stand] | None = None  # by this thread, and not written yet; since when


class Transfer:
    """The patches of one session. `undo` takes them out of every pool."""

    def __init__(self) -> None:
        process: Any = import_module("concurrent.futures.process")
        queues: Any = import_module("multiprocessing.queues")
        self._process, self._queues = process, queues
        self._here = _Here()
        self._handed: dict[int, tuple[ProcessLine, Entry]] = {}  # by id of the call item
        self._lines: ByIdentity[ProcessLine] = ByIdentity()  # by the queue of calls
        self._connections: list[tuple[ref[Any], str]] = []
        self._plain_item = self._process._WorkItem
        self._plain_pickler = self._queues._ForkingPickler
        self._own_put = vars(self._process._SafeQueue).get("put")
        self._plain_put = self._process._SafeQueue.put
        self._item = self._work_item()
        self._pickler = self._timed_pickler()
        self._process._WorkItem = self._item
        self._queues._ForkingPickler = self._pickler
        self._put = self._process._SafeQueue.put = self._timed_put()

    def undo(self) -> None:
        """Restores what was replaced."""
        if self._process._WorkItem is self._item:
            self._process._WorkItem = self._plain_item
        if self._queues._ForkingPickler is self._pickler:
            self._queues._ForkingPickler = self._plain_pickler
        if vars(self._process._SafeQueue).get("put") is self._put:
            del self._process._SafeQueue.put  # it is inherited
            if self._own_put is not None:
                self._process._SafeQueue.put = self._own_put
        for connection_ref, name in self._connections:
            connection = connection_ref()
            if connection is not None:
                vars(connection).pop(name, None)
        self._connections = []
        self._handed.clear()

    def attach(self, executor: Any, line: ProcessLine) -> None:
        """Begins to follow the jobs of a pool."""
        calls, results = executor._call_queue, executor._result_queue
        if calls is None or results is None:  # it was shut down
            return
        self._lines.set(calls, line)
        self._patch(calls._writer, "_send_bytes", self._timed_send)
        self._patch(results._reader, "_recv_bytes", functools.partial(self._timed_receive, line))

    def submitting(self, entry: Entry, enter: Callable[[Any], None]) -> None:
        """Says whose future this thread makes next; `enter` is called with it before the pool's threads see it."""
        self._here.submitting, self._here.started = (entry, enter), False

    def submitted(self) -> bool:
        """The submission is over; whether this thread had to start a process in its midst."""
        self._here.submitting = None
        return self._here.started

    def started_process(self) -> None:
        """This thread has just started a process, maybe in the midst of a `submit`."""
        self._here.started = True

    def _patch(self, connection: Any, name: str, timed: Callable[..., Any]) -> None:
        found = ref(connection)  # a connection is closed when the last reference to it goes
        # an attribute of the instance: such objects are pickled by their descriptor alone
        setattr(connection, name, functools.partial(timed, getattr(type(connection), name), found))
        self._connections = [one for one in self._connections if one[0]() is not None]
        self._connections.append((found, name))

    def _work_item(self) -> type[Any]:
        here = self._here

        class WorkItem(self._plain_item):  # type: ignore[misc,name-defined]
            """The pool's own, whose future knows its entry before any thread of the pool can see it."""

            def __init__(self, future: Any, *args: Any, **kwargs: Any) -> None:
                super().__init__(future, *args, **kwargs)
                submitting, here.submitting = here.submitting, None
                if submitting is None:
                    return
                entry, enter = submitting
                try:
                    setattr(future, ENTRY_ATTRIBUTE, entry)
                    enter(future)
                except Exception as error:
                    probe_failed(PROBE, error)

        WorkItem.__name__ = WorkItem.__qualname__ = self._plain_item.__qualname__
        return WorkItem

    # --- on the manager's thread ----------------------------------------------------------------
    def _timed_put(self) -> Callable[..., None]:
        plain = self._plain_put
        call_item = self._process._CallItem

        @functools.wraps(plain)
        def put(queue: Any, obj: Any, *args: Any, **kwargs: Any) -> None:
            line, passage = None, None
            try:
                line = self._lines.get(queue)
                passage = self._note_put(line, queue, obj, call_item) if line is not None else None
            except Exception as error:
                probe_failed(PROBE, error)
            try:
                plain(queue, obj, *args, **kwargs)
            except BaseException as error:
                self._handed.pop(id(obj), None)
                take_this_frame_out(error)
                raise
            if line is not None:
                _note_queued(line, passage)

        return put

    def _note_put(self, line: ProcessLine, queue: Any, obj: Any, call_item: type[Any]) -> Passage | None:
        self._handed.pop(id(obj), None)  # of one that was never pickled
        if type(obj) is not call_item:
            return None
        item = queue.pending_work_items.get(obj.work_id)
        entry: Entry | None = own(item.future, ENTRY_ATTRIBUTE) if item is not None else None
        if entry is None or entry.passage is None:
            return None
        entry.passage.put_ns = perf_counter_ns()
        entry.passage.manager_id = threading.get_native_id()
        if len(self._handed) >= _MOST_HANDED:  # of pools that broke
            self._handed.clear()
        self._handed[id(obj)] = (line, entry)
        return entry.passage

    @staticmethod
    def _timed_receive(
        line: ProcessLine, plain: Callable[..., Any], connection: "ref[Any]", *args: Any
    ) -> Any:
        begin = None
        try:
            if line.slots.serves_requests():
                begin = Stand.now()
            line.came = None
        except Exception as error:
            probe_failed(PROBE, error)
        try:
            received = plain(connection(), *args)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        try:
            if begin is not None and received is not None:
                line.came = Came(begin, begin.next(), _length_in_pipe(received.tell()), line.slots.look())
        except Exception as error:
            probe_failed(PROBE, error)
        return received

    # --- on the thread that pickles -------------------------------------------------------------
    def _timed_pickler(self) -> type[Any]:
        plain = self._plain_pickler
        call_item = self._process._CallItem
        handed, here = self._handed, self._here

        def dumps(cls: Any, obj: Any, protocol: int | None = None) -> Any:
            found = handed.pop(id(obj), None) if type(obj) is call_item else None
            if found is None:
                try:
                    return plain.dumps(obj, protocol)
                except BaseException as error:
                    take_this_frame_out(error)
                    raise
            begin = Stand.now()
            try:
                pickled = plain.dumps(obj, protocol)
            except BaseException as error:
                take_this_frame_out(error)
                _note_pickled(found, begin)
                raise
            here.pickled = (*found, _note_pickled(found, begin))
            return pickled

        return type(plain.__name__, (plain,), {"dumps": classmethod(dumps), "__module__": plain.__module__})

    def _timed_send(self, plain: Callable[..., Any], connection: "ref[Any]", *args: Any) -> Any:
        found, self._here.pickled = self._here.pickled, None
        if found is not None:
            try:
                found[0].slots.sent(found[1], found[2].at_ns)
            except Exception as error:
                probe_failed(PROBE, error)
        try:
            return plain(connection(), *args)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            if found is not None and found[1].passage is not None:
                found[1].passage.sending = found[2].until(found[2].next())


def _note_pickled(found: tuple[ProcessLine, Entry], begin: Stand) -> Stand:
    line, entry = found
    end = begin.next()
    if entry.passage is not None:
        entry.passage.pickling = begin.until(end)
    job = entry.job
    if job is not None:
        held = Occupancy(f"pickling for {job.name}", job.request.trace_id, job.span_id, job.code)
        held.start_ns, held.end_ns = begin.at_ns, end.at_ns
        line.picklings.append(held)
    return end


def _length_in_pipe(size: int) -> int:
    return size + (4 if size <= 0x7FFFFFFF else 12)


def _note_queued(line: ProcessLine, passage: Passage | None) -> None:
    """Once it has its place in the queue, not before: one that all free places are seen beside would count as taken."""
    now = perf_counter_ns()
    line.jobs_put.append(now)
    if passage is not None:
        passage.queued_ns = now
