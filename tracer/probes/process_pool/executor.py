"""Every `ProcessPoolExecutor`, as seen from the parent: `process_queue` infers the wait for a worker, `transfer`
times what lies between. The worker is not touched: its clocks are read, and the sampler sees what it waits in."""

import functools
from collections.abc import Callable
from concurrent.futures import Future
from importlib.util import find_spec
from typing import Any, Final

from whywait.tracer.host.identity_map import ByIdentity
from whywait.tracer.hotpath.pools import pool_of
from whywait.tracer.probes.patches import Patches
from whywait.tracer.probes.probe import Session, Undo
from whywait.tracer.probes.process_pool.process_queue import ProcessQueue
from whywait.tracer.probes.process_pool.transfer import PROBE, Way, safely
from whywait.tracer.probes.threads.thread_pool import start_worker, timed_shutdown

name: Final = PROBE
needs: Final = (
    "concurrent.futures._base.Future._exception",
    "concurrent.futures.process.ProcessPoolExecutor._call_queue",
    "concurrent.futures.process.ProcessPoolExecutor._max_workers",
    "concurrent.futures.process.ProcessPoolExecutor._result_queue",
    "concurrent.futures.process.ProcessPoolExecutor._spawn_process",
    "concurrent.futures.process.ProcessPoolExecutor._work_ids",
    "concurrent.futures.process._SafeQueue.pending_work_items",
    "multiprocessing.connection.Connection._recv_bytes",
    "multiprocessing.connection.Connection._send_bytes",
    "multiprocessing.queues.Queue._reader",
    "multiprocessing.queues.Queue._writer",
)
NAME = "processes"


def available() -> bool:
    return find_spec("_multiprocessing") is not None


def install(_: Session) -> Undo:
    """Wraps `__init__`, `submit`, `shutdown` and the start of a process, and each pool's queues; returns the undo."""
    from concurrent.futures import process

    executor_class: Any = process.ProcessPoolExecutor
    plain_init, plain_submit = executor_class.__init__, executor_class.submit
    plain_spawn = executor_class._spawn_process
    ways: ByIdentity[Way] = ByIdentity()

    def way_of(executor: Any, *, new: bool = False) -> Way:
        found = ways.get(executor)
        if found is None:
            pool = pool_of(executor, NAME, executor._max_workers, new=new)
            pool.of_processes = True
            found = Way(executor, ProcessQueue(executor, pool))
            ways.set(executor, found)
        return found

    @functools.wraps(plain_init)
    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        plain_init(self, *args, **kwargs)
        safely(way_of, self, new=True)

    @functools.wraps(plain_submit)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        safely(way_of, self)
        return plain_submit(self, fn, *args, **kwargs)  # type: ignore[no-any-return]

    @functools.wraps(plain_spawn)
    def _spawn_process(self: Any) -> None:
        start_worker(plain_spawn, self, lambda _: NAME, PROBE)
        safely(lambda: way_of(self).has_started())

    def take_out() -> None:
        for way in ways.values():
            way.undo()

    patches = Patches()
    patches.add("the way of jobs to workers", take_out)
    patches.replace(executor_class, "__init__", __init__)
    patches.replace(executor_class, "submit", submit)
    patches.replace(executor_class, "shutdown", timed_shutdown(executor_class.shutdown, lambda _: NAME, PROBE))
    patches.replace(executor_class, "_spawn_process", _spawn_process)
    return patches.undo
