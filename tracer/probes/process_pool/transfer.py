"""What lies between a process pool's `submit` and its worker: pickling, the pipe there and the pipe back, all in
threads of this process. A call is known by its own dictionary of arguments; nothing is added to what is pickled."""

import functools
import threading
from collections.abc import Callable
from importlib import import_module
from time import perf_counter_ns
from typing import Any
from weakref import ref

from whywait.tracer.host.introspection import take_this_frame_out
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.probes.process_pool.process_queue import Came, Entry, ProcessQueue, Stand
from whywait.tracer.records.occupancy import Occupancy

PROBE = "process pool"
Found = tuple[ProcessQueue, Entry]
Enter = Callable[[ProcessQueue, Any, Callable[..., Any], tuple[Any, ...]], Entry]


class _Here(threading.local):
    submitting_to: ProcessQueue | None = None
    entry: Entry | None = None  # what was submitted
    started = False  # a process, in the midst of a `submit`
    pickled: tuple[Found, Stand] | None = None  # by this thread, and not written yet; since when


class Transfer:
    """The patches of one session. `enter` makes the entry of a job; `undo` takes the patches out of every pool."""

    def __init__(self, enter: Enter) -> None:
        process: Any = import_module("concurrent.futures.process")
        queues: Any = import_module("multiprocessing.queues")
        self._process, self._queues = process, queues
        self._enter = enter
        self.here = _Here()
        self._pickled_next: dict[int, Found] = {}  # by id of the call's keyword arguments, which are its own
        self._connections: list[tuple[ref[Any], str]] = []
        self._plain_item, self._plain_pickler = process._WorkItem, queues._ForkingPickler
        self._item = process._WorkItem = self._work_item()
        self._pickler = queues._ForkingPickler = self._timed_pickler()

    def undo(self) -> None:
        """Restores what was replaced."""
        if self._process._WorkItem is self._item:
            self._process._WorkItem = self._plain_item
        if self._queues._ForkingPickler is self._pickler:
            self._queues._ForkingPickler = self._plain_pickler
        for connection_ref, name in self._connections:
            connection = connection_ref()
            if connection is not None:
                vars(connection).pop(name, None)
        self._connections = []

    def attach(self, executor: Any, queue: ProcessQueue) -> None:
        """Times what goes through the pipes of a pool."""
        calls, results = executor._call_queue, executor._result_queue
        if calls is None or results is None:  # it was shut down
            return
        self._patch(calls._writer, "_send_bytes", self._timed_send)
        self._patch(results._reader, "_recv_bytes", functools.partial(_timed_receive, queue))

    def _patch(self, connection: Any, name: str, timed: Callable[..., Any]) -> None:
        found = ref(connection)  # a connection is closed when the last reference to it goes
        # an attribute of the instance: such objects are pickled by their descriptor alone
        setattr(connection, name, functools.partial(timed, getattr(type(connection), name), found))
        self._connections = [one for one in self._connections if one[0]() is not None]
        self._connections.append((found, name))

    # --- on the thread that submits -------------------------------------------------------------
    def _work_item(self) -> Callable[..., Any]:
        here, plain = self.here, self._plain_item

        @functools.wraps(plain, updated=())
        def work_item(future: Any, fn: Any, args: Any, kwargs: Any) -> Any:
            made = plain(future, fn, args, kwargs)
            queue, here.submitting_to = here.submitting_to, None
            if queue is not None:  # now, before any thread of the pool can see it: it may be done in no time
                try:
                    here.entry = entry = self._enter(queue, future, fn, args)
                    key = id(kwargs)
                    self._pickled_next[key] = queue, entry
                    future.add_done_callback(lambda _: self._pickled_next.pop(key, None))
                except Exception as error:
                    probe_failed(PROBE, error)
            return made

        return work_item

    # --- on the thread that pickles -------------------------------------------------------------
    def _timed_pickler(self) -> type[Any]:
        plain, call_item = self._plain_pickler, self._process._CallItem
        pickled_next, here = self._pickled_next, self.here

        def dumps(cls: Any, obj: Any, protocol: int | None = None) -> Any:
            found = pickled_next.pop(id(obj.kwargs), None) if type(obj) is call_item else None
            if found is not None:
                found[0].calls.put_ns.append(perf_counter_ns())
            begin = Stand.now() if found is not None else None
            try:
                return plain.dumps(obj, protocol)
            except BaseException as error:
                take_this_frame_out(error)
                raise
            finally:
                if found is not None and begin is not None:
                    here.pickled = found, _note_pickled(found, begin)

        return type(plain.__name__, (plain,), {"dumps": classmethod(dumps), "__module__": plain.__module__})

    def _timed_send(self, plain: Callable[..., Any], connection: "ref[Any]", *args: Any) -> Any:
        sent, self.here.pickled = self.here.pickled, None
        try:
            if sent is not None:
                (queue, entry), begin = sent
                queue.sent(entry, begin.at_ns)
        except Exception as error:
            probe_failed(PROBE, error)
        try:
            return plain(connection(), *args)
        except BaseException as error:
            take_this_frame_out(error)
            raise
        finally:
            if sent is not None:
                entry.passage.sending = begin.until(begin.next())


# --- on the manager's thread --------------------------------------------------------------------
def _timed_receive(queue: ProcessQueue, plain: Callable[..., Any], connection: "ref[Any]", *args: Any) -> Any:
    queue.came = None
    begin = Stand.now() if queue.serves_requests() else None
    try:
        received = plain(connection(), *args)
    except BaseException as error:
        take_this_frame_out(error)
        raise
    try:
        if begin is not None and received is not None:
            size = received.tell()
            length = size + (4 if size <= 0x7FFFFFFF else 12)  # in the pipe
            queue.came = Came(begin, begin.next(), length, queue.clocks.read())
    except Exception as error:
        probe_failed(PROBE, error)
    return received


def _note_pickled(found: Found, begin: Stand) -> Stand:
    queue, entry = found
    end = begin.next()
    entry.passage.pickling = begin.until(end)
    job = entry.job
    if job is not None:
        held = Occupancy(f"pickling for {job.name}", job.request.trace_id, job.span_id, job.code)
        held.start_ns, held.end_ns = begin.at_ns, end.at_ns
        queue.calls.picklings.append(held)
    return end
