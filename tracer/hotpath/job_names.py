"""Names a job after the user's function, behind all wrappers around it."""

import contextvars
import functools
from collections.abc import Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, Final

from whywait.tracer.host.code_location import is_library
from whywait.tracer.host.introspection import bound_to, code_of, name_of

PLAIN = "_whywait_plain"  # on a wrapper by whywait: the host's function
# how libraries' wrappers call the parameter with the function that they run
_RUNS: Final = frozenset(("function", "func", "fn", "f", "call", "callable", "child", "target"))
_DEEPEST: Final = 5


def describe(function: Any, args: tuple[Any, ...] = ()) -> tuple[str, CodeType | None]:
    """Return the name of the user's function behind partials, bound methods and `asyncio.to_thread`, and its code."""
    if type(function) is FunctionType and not function.__dict__:
        return function.__qualname__, function.__code__
    if type(function) is type:
        return function.__qualname__, None
    return _behind(function, args, _DEEPEST)


def _behind(function: Any, args: tuple[Any, ...], deepest: int) -> tuple[str, CodeType | None]:
    keywords: Mapping[str, Any] = {}
    while True:
        if issubclass(type(function), functools.partial):
            args = (*function.args, *args)
            keywords = {**function.keywords, **keywords}
            function = function.func
        elif type(bound_to(function)) is contextvars.Context and args:
            function, args = args[0], args[1:]  # context.run(function, ...)
        else:
            break
    if type(function) is FunctionType:
        function = function.__dict__.get(PLAIN) or function
    code = code_of(function)
    if code is not None and deepest and is_library(code.co_filename):
        found = _run_by(code, type(function) is MethodType, args, keywords, deepest - 1)
        if found is not None:
            return found
    return name_of(function), code


def _run_by(
    code: CodeType, bound: bool, args: tuple[Any, ...], keywords: Mapping[str, Any], deepest: int
) -> tuple[str, CodeType] | None:
    """The user's function that a library's wrapper is given to run, as FastAPI's around a `def` endpoint is."""
    names = code.co_varnames[bound : code.co_argcount]
    given = [(name, value, args[at + 1 :]) for at, (name, value) in enumerate(zip(names, args, strict=False))]
    for name, value, others in (*given, *((name, value, ()) for name, value in keywords.items())):
        if name in _RUNS:
            found, inner = _behind(value, others, deepest)
            if inner is None:  # an object that can be called
                inner = code_of(vars(type(value)).get("__call__"))
            if inner is not None and not is_library(inner.co_filename):
                return found, inner
    return None


def carried_context(function: Any) -> contextvars.Context | None:
    """Return the context that `asyncio.to_thread` created for this job, if any."""
    while issubclass(type(function), functools.partial):
        function = function.func
    owner = bound_to(function)
    return owner if type(owner) is contextvars.Context else None
