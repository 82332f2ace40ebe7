"""The marks for users' code. Outside any request the outermost one begins a trace; without a session it costs one
call, and in a child process it is a sign that it serves. Arguments, results and messages are not recorded."""

import functools
import inspect
from collections.abc import Callable
from types import CodeType, TracebackType
from typing import Any, ParamSpec, TypeVar, overload

from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.opening.open_phase import GeneratorLife, OpenPhase, begin
from whywait.tracer.waking.lazy_start import wake

P = ParamSpec("P")
R = TypeVar("R")
F = TypeVar("F", bound=Callable[..., Any])


class phase:
    """Marks a block of work with a name: `with phase("predict"): ...`, in `def` and `async def` alike.

    Its span lasts from enter to exit and has its CPU time. It raises no exception of its own.
    """

    __slots__ = ("_code", "_mark", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._code: CodeType | None = None  # of a marked function
        self._mark: OpenPhase | None = None

    def __enter__(self) -> "phase":
        if recorders.active is not None or wake():
            self._mark = begin(self.name, self._code)
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
    """Marks each call of a function, coroutine, generator, async generator or method; the span has its name.

    `@traced` or `@traced(name="rank")`. A generator's span lasts from its first step to its last,
    and only its steps count as its work, not what its consumer does in between. Raises TypeError for\n    anything but a function.
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


def _marked(title: str, code: CodeType | None) -> phase:
    made = phase(title)
    made._code = code
    return made


def _wrap_function(function: Callable[P, R], title: str, code: CodeType | None) -> Callable[P, R]:
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if recorders.active is None and not wake():
            return function(*args, **kwargs)
        with _marked(title, code):
            return function(*args, **kwargs)

    return call


def _wrap_coroutine(function: Any, title: str, code: CodeType | None) -> Any:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        if recorders.active is None and not wake():
            return await function(*args, **kwargs)
        with _marked(title, code):
            return await function(*args, **kwargs)

    return call


def _wrap_generator(function: Any, title: str, code: CodeType | None) -> Any:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        generator = function(*args, **kwargs)
        if recorders.active is None and not wake():
            return (yield from generator)
        life = GeneratorLife(title, code)
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
        life = GeneratorLife(title, code)
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
