"""What a user writes: `traced` on functions of every kind, `phase` around a block.

Outside any request the outermost mark begins a trace of its own. Not started, a mark costs one look
at a module variable. Neither records arguments, results or the text of exceptions.
"""

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable
from time import perf_counter_ns, thread_time_ns
from types import CodeType, TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from opentelemetry.trace import TraceFlags

from tracer import recorder as recorders
from tracer.places import place_of_code
from tracer.records import (
    ACTIVITY,
    Activity,
    Job,
    Phase,
    Place,
    Request,
    current_activity,
    here,
    new_span_id,
    new_trace_id,
)
from tracer.signals import run_queue_ns
from tracer.span_context import StandIn, current_span_id, enter, leave
from tracer.steps import close_step

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class phase:
    """Marks a block of work with a name: `with phase("predict"): ...`, in `def` and `async def` alike.

    The span it becomes lasts from enter to exit and knows its CPU time. Raises nothing of its own.
    """

    __slots__ = ("_mark", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._mark: _Mark | None = None

    def __enter__(self) -> "phase":
        if recorders.active is not None:
            self._mark = _begin(self.name, None)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        mark, self._mark = self._mark, None
        if mark is not None:
            mark.end(kind)


@overload
def traced(function: F, /) -> F: ...
@overload
def traced(*, name: str | None = None) -> Callable[[F], F]: ...
def traced(function: Any = None, /, *, name: str | None = None) -> Any:
    """Marks each call of a function, coroutine, generator, async generator or method with its name.

    `@traced` or `@traced(name="rank")`. A generator's span lasts from its first step to its last,
    and each of its steps counts as its own work; what its consumer does in between does not.
    """
    if function is None:
        return functools.partial(_wrap, name=name)
    return _wrap(function, name=name)


def _wrap(function: Any, *, name: str | None) -> Any:
    if isinstance(function, staticmethod | classmethod):
        return type(function)(_wrap(function.__func__, name=name))
    if not callable(function):
        raise TypeError(f"traced expects a function, not {type(function).__name__}")
    title = str(name or getattr(function, "__qualname__", type(function).__qualname__))
    code = getattr(inspect.unwrap(function), "__code__", None)
    if inspect.isasyncgenfunction(function):
        return _wrap_async_generator(function, title, code)
    if inspect.isgeneratorfunction(function):
        return _wrap_generator(function, title, code)
    if inspect.iscoroutinefunction(function):
        return _wrap_coroutine(function, title, code)
    return _wrap_function(function, title, code)


def _wrap_function(function: Callable[P, R], title: str, code: CodeType | None) -> Callable[P, R]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if recorders.active is None:
            return function(*args, **kwargs)
        mark = _begin(title, code)
        error: type[BaseException] | None = None
        try:
            return function(*args, **kwargs)
        except BaseException as raised:
            error = type(raised)
            raise
        finally:
            if mark is not None:
                mark.end(error)

    return call


def _wrap_coroutine(function: Any, title: str, code: CodeType | None) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        if recorders.active is None:
            return await function(*args, **kwargs)
        mark = _begin(title, code)
        error: type[BaseException] | None = None
        try:
            return await function(*args, **kwargs)
        except BaseException as raised:
            error = type(raised)
            raise
        finally:
            if mark is not None:
                mark.end(error)

    return call


def _wrap_generator(function: Any, title: str, code: CodeType | None) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        if recorders.active is None:
            return (yield from generator)
        life = _Life(title, code)
        resume, value = generator.send, None
        try:
            while True:
                mark = life.step()
                try:
                    item = resume(value)
                except StopIteration as stop:
                    return stop.value
                except BaseException as raised:
                    life.error = type(raised)
                    raise
                finally:
                    mark.end(None)
                try:
                    resume, value = generator.send, (yield item)
                except GeneratorExit:
                    generator.close()
                    raise
                except BaseException as raised:
                    resume, value = generator.throw, raised
        finally:
            life.end()

    return call


def _wrap_async_generator(function: Any, title: str, code: CodeType | None) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        life = _Life(title, code)
        resume, value = generator.asend, None
        try:
            while True:
                mark = life.step()
                try:
                    item = await resume(value)
                except StopAsyncIteration:
                    return
                except BaseException as raised:
                    life.error = type(raised)
                    raise
                finally:
                    mark.end(None)
                try:
                    resume, value = generator.asend, (yield item)
                except GeneratorExit:
                    await generator.aclose()
                    raise
                except BaseException as raised:
                    resume, value = generator.athrow, raised
        finally:
            life.end()

    return call


class _Life:
    """A generator's span from its first step to its last."""

    def __init__(self, title: str, code: CodeType | None) -> None:
        self._title = title
        self._place = place_of_code(code) if code is not None else None
        self._code = code
        self._activity = current_activity()
        self._span_id = new_span_id()
        self._parent_id = current_span_id()
        self._start_ns = perf_counter_ns()
        self.error: type[BaseException] | None = None

    def step(self) -> "_Mark | _Unmarked":
        return (_begin(self._title, self._code) if recorders.active is not None else None) or _UNMARKED

    def end(self) -> None:
        activity = self._activity
        if activity is None or not activity.request.open or not activity.request.take():
            return
        error = error_name(self.error)
        activity.request.phases.append(
            Phase(
                self._title,
                self._span_id,
                self._parent_id,
                activity,
                self._start_ns,
                perf_counter_ns(),
                -1,
                None,
                self._place,
                error,
                True,
            )
        )


class _Unmarked:
    def end(self, error: type[BaseException] | None) -> None:
        """Nothing was begun."""


_UNMARKED = _Unmarked()


class _Mark:
    """One phase under way."""

    __slots__ = (
        "_activity", "_around", "_cpu_ns", "_opened", "_parent_id", "_place", "_run_queue_ns", "_span_id", "_start_ns",
        "_title", "_token",
    )  # fmt: skip

    def __init__(self, title: str, place: Place | None, activity: Activity, opened: Request | None) -> None:
        self._title = title
        self._place = place
        self._activity = activity
        self._opened = opened
        self._span_id = new_span_id() if opened is None else opened.server_span_id
        self._parent_id = 0 if opened is not None else current_span_id()
        request = activity.request
        span = StandIn(request.trace_id, self._span_id, request.sampled_flags, request.trace_state)
        self._around: Activity | None = None
        if opened is not None:
            self._around = ACTIVITY.get()
            ACTIVITY.set(activity)
        self._token = enter(span)
        in_thread = isinstance(activity, Job) or activity.task_key == 0
        self._run_queue_ns = run_queue_ns() if in_thread else None
        self._cpu_ns = _cpu_of(activity)
        self._start_ns = perf_counter_ns() if opened is None else opened.start_ns

    def end(self, error: type[BaseException] | None) -> None:
        end_ns = perf_counter_ns()
        activity = self._activity
        request = activity.request
        cpu_ns = _cpu_of(activity) - self._cpu_ns if self._cpu_ns >= 0 else -1
        run_queue: int | None = None
        if self._run_queue_ns is not None and recorders.active is not None:
            now = run_queue_ns()
            run_queue = None if now is None else now - self._run_queue_ns
        leave(self._token)
        if request.open and (self._opened is not None or request.take()):
            made = Phase(
                self._title, self._span_id, self._parent_id, activity, self._start_ns, end_ns, cpu_ns,
                run_queue, self._place, error_name(error), False,
            )  # fmt: skip
            if self._opened is None:
                request.phases.append(made)
            else:
                request.root_phase = made
        if self._opened is not None:
            self._close(self._opened, end_ns)

    def _close(self, request: Request, end_ns: int) -> None:
        recorder = recorders.active
        root = request.root
        root.end_ns = request.end_ns = end_ns
        close_step(root, end_ns)
        request.open = False
        ACTIVITY.set(self._around)
        if recorder is not None and request.root_phase is not None:
            recorder.finish(request, error=bool(request.root_phase.error))


def _cpu_of(activity: Activity) -> int:
    """CPU the activity has used so far, its running step included; -1 when it does not run here."""
    if here.current is not activity:
        return -1
    return int(activity.cpu_ns + thread_time_ns() - activity.step_cpu_ns)


def error_name(error: type[BaseException] | None) -> str:
    # leaving early is no failure
    if error is None or issubclass(error, GeneratorExit | StopIteration | StopAsyncIteration):
        return ""
    return error.__qualname__


def _begin(title: str, code: CodeType | None) -> _Mark | None:
    activity = current_activity()
    place = place_of_code(code) if code is not None else None
    if activity is not None:
        return _Mark(title, place, activity, None)
    found = ACTIVITY.get()
    if found is not None and found.request.open:
        return None  # a thread that only inherited the context: not ours to judge
    recorder = recorders.active
    if recorder is None:
        return None
    request = Request(
        new_trace_id(),
        new_span_id(),
        TraceFlags.SAMPLED,
        perf_counter_ns(),
        recorder.config.max_records_per_request,
    )
    request.name = title
    recorder.begin(request)
    root = request.root
    root.name = title
    root.code = code
    root.step_start_ns = request.start_ns
    root.step_cpu_ns = thread_time_ns()
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    if task is not None:
        root.task_key = id(task)
    else:
        request.thread_id = threading.get_native_id()
    here.current = here.opened = root
    return _Mark(title, place, root, request)
