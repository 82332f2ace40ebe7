"""The tasks of a request: a task becomes an activity at its first observed step, and is named after its coroutine."""

import asyncio
import contextvars
from contextlib import suppress
from inspect import CO_NESTED
from types import CodeType, CoroutineType
from typing import Any

from whywait.tracer.host.introspection import code_of, coroutine_code, ended_in_error, name_of
from whywait.tracer.host.otel_context import current_span_id, span_id_in
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.job_names import describe_inside
from whywait.tracer.records.current import ACTIVITY, here
from whywait.tracer.records.request import Activity
from whywait.tracer.schema import OUTCOME_CANCELLED


def adopt(
    found: Activity, task: "asyncio.Task[Any]", ready_ns: int, context: "contextvars.Context | None"
) -> Activity | None:
    """Return a new activity for a task at its first observed step."""
    request = found.request
    if not request.take():
        return None
    parent_id = current_span_id() if context is None else span_id_in(context)
    loop, outer = here.loop, here.outer
    if loop is request.loop:
        loop = None
    elif outer is not None and outer.request is request and found.loop is not loop:
        found = outer  # it runs this loop; the context is that of its own spawner
    activity = Activity(request, found, ready_ns, parent_id)
    activity.loop = loop
    key = activity.task_key = id(task)
    name_task(activity, task.get_coro())
    request.tasks[key] = activity
    request.activities.append(activity)
    if context is None:
        ACTIVITY.set(activity)
    else:
        context.run(ACTIVITY.set, activity)
    return activity


def adopt_eager(maker: Activity, task: "asyncio.Task[Any]", born_ns: int, stop_ns: int) -> Activity | None:
    """Return the activity of a task whose first step ran inside its creator's, and that waits since `stop_ns`."""
    request = maker.request
    if not request.take():
        return None
    activity = Activity(request, maker, born_ns, current_span_id())
    activity.task_key = id(task)
    activity.stop_ns = stop_ns
    activity.steps = 1
    name_task(activity, task.get_coro())
    request.tasks[activity.task_key] = activity
    request.activities.append(activity)
    return activity


def end_task(activity: Activity, task: "asyncio.Task[Any]", end_ns: int) -> None:
    """The task has ended; another task may get its key soon."""
    activity.end_ns = end_ns
    if task.cancelled():
        activity.outcome = OUTCOME_CANCELLED
    elif ended_in_error(task):
        activity.outcome = "error"
    request = activity.request
    request.tasks.pop(activity.task_key, None)
    if request.server is not None and activity is request.root:
        request.server.abandoned(end_ns)


def task_code(task: "asyncio.Task[Any]") -> CodeType | None:
    """The code of the task's coroutine, or of the one that a wrapper stands for."""
    return _named(task.get_coro())[1]


def name_task(activity: Activity, coroutine: Any) -> None:
    """Name an activity after its task's coroutine, or the one that a library's or a probe's wrapper stands for."""
    activity.name, activity.code = _named(coroutine)


def _named(coroutine: Any) -> tuple[str, CodeType | None]:
    if type(coroutine) is CoroutineType:  # as most; read here, since each request pays it
        plain, recorder = coroutine.cr_code, recorders.active
        is_wrapper = recorder is not None and id(plain) in recorder.wrappers
        if not is_wrapper and not plain.co_flags & CO_NESTED and coroutine.__qualname__:
            return coroutine.__qualname__, plain
    coroutine = _behind(coroutine)
    code = coroutine_code(coroutine) or code_of(coroutine)
    if type(coroutine) is CoroutineType and code is not None and code.co_flags & CO_NESTED:
        return describe_inside(coroutine) or (name_of(coroutine), code)
    return name_of(coroutine), code


def _behind(coroutine: Any) -> Any:
    """The coroutine that a library's or a probe's wrapper stands for; itself where it is none."""
    code = coroutine.cr_code if type(coroutine) is CoroutineType else coroutine_code(coroutine)
    recorder = recorders.active
    behind = recorder.wrappers.get(id(code)) if recorder is not None else None
    if behind is not None:
        with suppress(Exception):  # another version of the library: use the wrapper's name
            return behind(coroutine) or coroutine
    return coroutine
