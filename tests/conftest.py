"""For all tests: no test may leave a patch, a thread, a child process or a file handle of ours behind."""

import asyncio.base_events
import asyncio.events
import asyncio.runners
import asyncio.selector_events
import concurrent.futures._base
import concurrent.futures.process
import concurrent.futures.thread
import gc
import logging
import multiprocessing.queues
import os
import select
import selectors
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import settings
from opentelemetry import trace

import whywait
from testbed.disturbed import (  # hooks are found by their names here
    pytest_runtest_makereport as pytest_runtest_makereport,
)
from testbed.disturbed import pytest_runtest_protocol as pytest_runtest_protocol
from testbed.disturbed import pytest_sessionfinish as pytest_sessionfinish
from testbed.disturbed import pytest_terminal_summary as pytest_terminal_summary
from testbed.sampler_process import samplers_of
from whywait.tracer.host.own_thread import all_threads

settings.register_profile("whywait", deadline=None)  # no test fails on an absolute time
settings.load_profile("whywait")
os.environ.setdefault("WHYWAIT_EXIT_S", "20")  # what a service traced is complete, also where this machine is busy


def _patched() -> dict[str, Any]:
    """Everything that a probe replaces, by name."""
    loop = asyncio.selector_events.BaseSelectorEventLoop
    pool, future = concurrent.futures.thread.ThreadPoolExecutor, concurrent.futures._base.Future
    found: dict[str, Any] = {
        "Handle": asyncio.events.Handle,
        "TimerHandle": asyncio.events.TimerHandle,
        "TimerHandle._run": asyncio.events.TimerHandle.__dict__.get("_run"),
        "_cancel_all_tasks": vars(asyncio.runners)["_cancel_all_tasks"],
        "select": selectors.DefaultSelector.select,
        "_add_reader": loop.__dict__["_add_reader"],
        "_add_writer": loop.__dict__["_add_writer"],
        "Lock": threading.Lock,
        "RLock": threading.RLock,
        "submit lock": concurrent.futures.thread._global_shutdown_lock,  # type: ignore[attr-defined]
        "sleep": time.sleep,
        "Condition.wait": threading.Condition.wait,
        "Condition.notify": threading.Condition.notify,
        "Thread.join": threading.Thread.join,
        "Handler.handle": logging.Handler.handle,
        "waiters": concurrent.futures._base._create_and_install_waiters,
        "gc.callbacks": [one for one in gc.callbacks if getattr(one, "__module__", "").startswith("whywait")],
        "tracer provider": trace._TRACER_PROVIDER,
        "import watches": [one for one in sys.meta_path if type(one).__module__.startswith("whywait")],
    }
    for owner, names in (
        (pool, ("__init__", "submit", "shutdown", "_adjust_thread_count")),
        (future, ("result", "exception")),
    ):
        found |= {f"{owner.__name__}.{name}": owner.__dict__[name] for name in names}
    processes = concurrent.futures.process.ProcessPoolExecutor
    found |= {
        f"{processes.__name__}.{name}": processes.__dict__[name]
        for name in ("__init__", "submit", "shutdown", "_spawn_process")
    }
    found["calls.put"] = vars(concurrent.futures.process._SafeQueue).get("put")  # type: ignore[attr-defined]
    found["calls.item"] = concurrent.futures.process._WorkItem  # type: ignore[attr-defined]
    found["queues.pickler"] = multiprocessing.queues._ForkingPickler  # type: ignore[attr-defined]
    found["create_task"] = asyncio.base_events.BaseEventLoop.create_task
    found |= {f"threading.{name}": getattr(threading, name) for name in ("Lock", "RLock", "_CRLock")}
    found |= {f"time.{name}": getattr(time, name) for name in ("sleep",)}
    watched: tuple[tuple[Any, tuple[str, ...]], ...] = (
        (threading.Condition, ("wait", "notify", "notify_all")),
        (threading.Thread, ("start", "join")),
        (logging.Handler, ("handle", "createLock")),
        (subprocess.Popen, ("wait", "communicate")),
        (select, ("select",)),
        (socket, ("getaddrinfo",)),
        (selectors._PollLikeSelector, ("select",)),
    )
    for owner, names in watched:
        found |= {f"{owner.__name__}.{name}": vars(owner)[name] for name in names}
    for owner in (socket.socket, ssl.SSLSocket):
        found[f"{owner.__name__}"] = dict(vars(owner))
    from anyio._backends import _asyncio
    from starlette.applications import Starlette

    found["anyio run_sync"] = _asyncio.AsyncIOBackend.__dict__["run_sync_in_worker_thread"].__func__
    found["anyio acquire"] = _asyncio.CapacityLimiter.acquire_on_behalf_of
    found["Starlette.__call__"] = Starlette.__call__
    if find_spec("uvloop"):
        import uvloop

        found["uvloop"] = tuple(sorted(uvloop.Loop.__dict__))
    return found


def _threads_of_ours() -> set[str]:
    return {one.name for one in all_threads() if one.name.startswith("whywait")}


def _schedstat_fds() -> int:
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").endswith(("schedstat", "/io"))
        except OSError:
            continue
    return count


@pytest.fixture(autouse=True)
def leave_no_trace() -> Iterator[None]:
    before = _patched()
    yield
    assert not whywait.is_active(), "the tracer was left running"
    after = _patched()
    changed = [name for name, value in after.items() if value is not before[name] and value != before[name]]
    assert not changed, f"left patched: {changed}"
    deadline = time.monotonic() + 5
    while (_threads_of_ours() or _schedstat_fds() or samplers_of(os.getpid())) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not _threads_of_ours()
    assert _schedstat_fds() == 0, "run-queue files left open"
    assert not samplers_of(os.getpid()), "a sampler was left running"
