"""Names a job after the user's function, behind all wrappers around it."""

import contextvars
import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from types import BuiltinFunctionType, CodeType, CoroutineType, FunctionType, MethodType
from typing import Any, Final

from whywait.tracer.host.code_location import is_library, is_wrapper, package_of
from whywait.tracer.host.introspection import bound_to, code_of, local_of, name_of, own

PLAIN = "_whywait_plain"  # on a wrapper by whywait: the host's function
# how libraries' wrappers call the parameter, variable or attribute with what they run: a function, or a generator
_RUNS: Final = frozenset((
    "call", "callable", "callback", "child", "f", "fn", "func", "function", "gen", "old_call", "original_func", "target", "view",
    "wrapped",
))  # fmt: skip
_DEEPEST: Final = 5
# objects of joblib that are called in a worker, and what they call
_BATCHES: Final[dict[str, Callable[[Any], Any]]] = {
    "BatchedCalls": lambda one: next((call[0] for call in own(one, "items") or ()), None),
    "_TracebackCapturingWrapper": lambda one: own(one, "func"),
}


def describe(function: Any, args: tuple[Any, ...] = ()) -> tuple[str, CodeType | None]:
    """Return the name of the user's function behind partials, bound methods and `asyncio.to_thread`, and its code."""
    if type(function) is FunctionType and not function.__dict__ and not runs_others(function.__code__):
        return function.__qualname__, function.__code__
    if type(function) is type:
        return function.__qualname__, None
    return _behind(function, args, _DEEPEST)


def describe_inside(coroutine: "CoroutineType[Any, Any, Any]") -> tuple[str, CodeType | None] | None:
    """Return the same of the user's function that a library's coroutine has around it, as that of a decorator, or of a
    framework's background task; None where it has none."""
    code, frame = coroutine.cr_code, coroutine.cr_frame
    if frame is None or not runs_others(code):
        return None
    for name in code.co_freevars:
        if name in _RUNS:
            found, inner = describe(local_of(frame, name))
            if inner is not None and _is_users(inner, code):
                return found, inner
    return None


@functools.lru_cache(maxsize=4_096)
def runs_others(code: CodeType) -> bool:
    """Return whether a library's function may run one of the user: asked for each job, found out once."""
    parameters = (*code.co_varnames[: code.co_argcount], *code.co_freevars)
    return is_library(code.co_filename) and not _RUNS.isdisjoint(parameters)


def _behind(function: Any, args: tuple[Any, ...], deepest: int) -> tuple[str, CodeType | None]:
    keywords: Mapping[str, Any] = {}
    while True:
        if issubclass(type(function), functools.partial):
            args = (*function.args, *args)
            keywords = {**function.keywords, **keywords}
            function = function.func
        elif type(bound_to(function)) is contextvars.Context and args:
            function, args = args[0], args[1:]  # context.run(function, ...)
        elif (batch := _BATCHES.get(type(function).__qualname__)) and (inner := batch(function)) is not None:
            function, args = inner, ()
        else:
            break
    if type(function) is FunctionType:
        function = function.__dict__.get(PLAIN) or function
    code = code_of(function)
    fallback: tuple[str, CodeType | None] = name_of(function), code
    if code is not None and deepest and is_library(code.co_filename):
        for value, others in _run_by(function, code, args, keywords):
            found, inner = _behind(value, others, deepest - 1)
            if inner is None:  # an object that can be called, or a generator
                inner = code_of(vars(type(value)).get("__call__")) or own(value, "gi_code")
            if inner is not None and _is_users(inner, code):
                return found, inner
            if inner is None and isinstance(value, BuiltinFunctionType | type) and is_wrapper(code.co_filename):
                fallback = found, None  # such as a chunk of `map` over `math.factorial`
            known = is_wrapper(code.co_filename) and ("", package_of(code.co_filename))
            if known and inner is not None and package_of(inner.co_filename) not in known:
                fallback = found, inner  # of another library, as Django's own behind asgiref's
    return fallback


def _is_users(inner: CodeType, wrapper: CodeType) -> bool:
    if not is_library(inner.co_filename):
        return True
    return is_wrapper(wrapper.co_filename) and not is_wrapper(inner.co_filename)


def _run_by(
    function: Any, code: CodeType, args: tuple[Any, ...], keywords: Mapping[str, Any]
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """What a library's wrapper is given to run, as FastAPI's around a `def` endpoint is, and its arguments.

    It stands in a parameter, in a variable around the wrapper, or in its object: `contextlib`'s has a generator.
    """
    bound = type(function) is MethodType
    names = code.co_varnames[bound : code.co_argcount]
    for at, (name, value) in enumerate(zip(names, args, strict=False)):
        if name in _RUNS:
            yield value, args[at + 1 :]
    around = function.__func__ if bound else function
    closure = around.__closure__ if type(around) is FunctionType and around.__code__ is code else None
    for name, cell in zip(code.co_freevars, closure or (), strict=False):
        if name in _RUNS:
            with suppress(ValueError):  # it is empty
                yield cell.cell_contents, args
    attributes = own(function.__self__, "__dict__") if bound else None
    for name, value in (*keywords.items(), *(attributes.items() if type(attributes) is dict else ())):
        if name in _RUNS:
            yield value, ()


def carried_context(function: Any) -> contextvars.Context | None:
    """Return the context that `asyncio.to_thread` created for this job, if any."""
    while issubclass(type(function), functools.partial):
        function = function.func
    owner = bound_to(function)
    return owner if type(owner) is contextvars.Context else None
