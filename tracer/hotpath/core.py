"""Picks the core, once a process: the native one where it was built and fits these records, else the Python one.

Both write the same records. The native one calls back the Python one for what is rare.
"""

import asyncio
import copyreg
from asyncio import events
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from typing import Any, Final

from whywait.tracer.host import otel_context
from whywait.tracer.host.native import native_core
from whywait.tracer.hotpath import (
    job_names,
    job_sums,
    jobs,
    loop_history,
    pools,
    recorder,
    task_steps,
    tasks,
    thread_state,
)
from whywait.tracer.records import ids, request
from whywait.tracer.records.background import BackgroundTask
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.loop import Loop
from whywait.tracer.records.occupancy import Occupancy
from whywait.tracer.records.request import Activity, Job
from whywait.tracer.schema import WAIT_AWAIT


def _bound() -> tuple[Any, str]:
    """Return the native core, which knows the records now; or None, and why."""
    native = native_core.module
    if native is None:
        return None, native_core.why_not
    nobody: Any = None
    try:
        native.bind({
            **vars(request), **vars(job_sums), **vars(loop_history), **vars(tasks), **vars(task_steps), **vars(thread_state),
            **vars(otel_context), **vars(job_names), **vars(pools), **vars(jobs), "recorder_globals": vars(recorder), "ZERO": 0,
            "run_job_here": native.run_job, "ThreadPoolExecutor": ThreadPoolExecutor,
            "random_bits": ids.random_bits, "ID_BITS": 64, "blank_activity": Activity(nobody, None, 0, 0),
            "blank_job": Job(nobody, nobody, 0, 0), "blank_held": Occupancy("", 0, 0, None),
            "Loop": Loop, "BackgroundTask": BackgroundTask, "Handle": events.Handle, "Task": asyncio.Task,
            "here": here, "ACTIVITY": ACTIVITY, "AWAIT": WAIT_AWAIT, "probe_failed": recorder.probe_failed,
        })  # fmt: skip
    except Exception as error:
        return None, f"it does not fit: {error!r}"
    runner: Any = type(native.handle_runner(len))
    copyreg.pickle(runner, attrgetter("__qualname__"))  # by name, as the method that it stands for
    return native, ""


_native, why_python = _bound()
"""Why the Python core runs; an empty string where the native one does."""
name: Final = native_core.PYTHON if _native is None else native_core.NATIVE
handle_runner: Final = thread_state.handle_runner if _native is None else _native.handle_runner
run_scheduled: Final = thread_state.run_scheduled if _native is None else _native.run_scheduled
run_job: Final = jobs.run_job if _native is None else _native.run_job
run_with_token: Final = jobs.run_with_token if _native is None else _native.run_with_token
make_job: Final = jobs.make_job if _native is None else _native.make_job
known_pool: Final = pools.known_pool if _native is None else _native.known_pool
occupancy_of: Final = pools.occupancy_of if _native is None else _native.occupancy_of
# in C, of the loops' handles and selectors, of executors, their futures, frameworks and locks; None without
handle_maker: Final = getattr(_native, "handle_maker", None)
io_runner: Final = getattr(_native, "io_runner", None)
scheduler: Final = getattr(_native, "scheduler", None)
select_timer: Final = getattr(_native, "select_timer", None)
submitter: Final = getattr(_native, "submitter", None)
adjuster: Final = getattr(_native, "adjuster", None)
collector: Final = getattr(_native, "collector", None)
asking: Final = getattr(_native, "asking", None)
operation: Final = getattr(_native, "operation", None)
socket_timer: Final = getattr(_native, "socket_timer", None)
lock_enterer: Final = getattr(_native, "lock_enterer", None)
lock_leaver: Final = getattr(_native, "lock_leaver", None)
