"""Picks the core, once a process: the native one where it was built and fits these records, else the Python one.

Both write the same records. The native one calls back the Python one for what is rare.
"""

import asyncio
from asyncio import events
from typing import Any, Final

from whywait.tracer.host.native import native_core
from whywait.tracer.hotpath import loop_history, task_steps, tasks, thread_state
from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.records import request
from whywait.tracer.records.background import BackgroundTask
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.loop import Loop
from whywait.tracer.schema import WAIT_AWAIT


def _bound() -> tuple[Any, str]:
    """Return the native core, which knows the records now; or None, and why."""
    native = native_core.module
    if native is None:
        return None, native_core.why_not
    try:
        native.bind({
            **vars(request), **vars(loop_history), **vars(tasks), **vars(task_steps), **vars(thread_state),
            "Loop": Loop, "BackgroundTask": BackgroundTask, "Handle": events.Handle, "Task": asyncio.Task,
            "here": here, "ACTIVITY": ACTIVITY, "AWAIT": WAIT_AWAIT, "probe_failed": probe_failed,
        })  # fmt: skip
    except Exception as error:
        return None, f"it does not fit: {error!r}"
    return native, ""


_native, why_python = _bound()
"""Why the Python core runs; an empty string where the native one does."""
name: Final = native_core.PYTHON if _native is None else native_core.NATIVE
handle_runner: Final = thread_state.handle_runner if _native is None else _native.handle_runner
run_scheduled: Final = thread_state.run_scheduled if _native is None else _native.run_scheduled
handle_maker: Final = None if _native is None else _native.handle_maker
"""The `__init__` of a handle with a stamp, in C."""
