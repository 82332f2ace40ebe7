"""Names a job after the user's function, behind all wrappers around it."""

import contextvars
import functools
from types import CodeType, FunctionType
from typing import Any

from whywait.tracer.host.introspection import bound_to, code_of, name_of

PLAIN = "_whywait_plain"  # on a wrapper by whywait: the host's function


def describe(function: Any, args: tuple[Any, ...] = ()) -> tuple[str, CodeType | None]:
    """Return the name of the user's function behind partials, bound methods and `asyncio.to_thread`, and its code."""
    if type(function) is FunctionType and not function.__dict__:
        return function.__qualname__, function.__code__
    if type(function) is type:
        return function.__qualname__, None
    while True:
        if issubclass(type(function), functools.partial):
            args = (*function.args, *args)
            function = function.func
        elif type(bound_to(function)) is contextvars.Context and args:
            function, args = args[0], args[1:]  # context.run(function, ...)
        else:
            break
    if type(function) is FunctionType:
        function = function.__dict__.get(PLAIN) or function
    return name_of(function), code_of(function)


def carried_context(function: Any) -> contextvars.Context | None:
    """Return the context that `asyncio.to_thread` created for this job, if any."""
    while issubclass(type(function), functools.partial):
        function = function.func
    owner = bound_to(function)
    return owner if type(owner) is contextvars.Context else None
