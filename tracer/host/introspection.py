"""Reads the host's objects without running its code, and leaves its tracebacks unchanged.

A callback may be anything: a mock that answers to every name, a proxy that asks a server for each
attribute or raises on access. So attributes are read past `__getattr__`, and a class is read by `type`, which
no object can forge.
"""

import asyncio
import functools
import threading
from inspect import CO_OPTIMIZED
from operator import attrgetter
from types import BuiltinMethodType, CodeType, FrameType, FunctionType, MethodType
from typing import Any, Final

callback_of: Final = attrgetter("_callback")  # of an asyncio handle, in one call of C: every callback pays it

BOUND: set[type[Any]] = {MethodType, BuiltinMethodType}  # types of callables that belong to `__self__`
_OURS: Final = __file__.rsplit("/", 2)[0] + "/"
_MOST_DECORATORS = 20
_STEP = "TaskStepMethWrapper"  # what C tasks schedule; the module does not export its type


def own(value: Any, name: str) -> Any:
    """Return a real attribute of the object; None if `__getattr__` would compute it, or without one."""
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return None


def bound_to(callback: Any) -> Any:
    """The object that a bound method or a task's step belongs to; None for every other callable."""
    kind = type(callback)
    if kind in BOUND:
        return callback.__self__
    if kind.__name__ == _STEP:
        BOUND.add(kind)
        return callback.__self__
    return None


def is_task(value: Any) -> bool:
    """Return whether this is an asyncio task, and not an object that imitates one."""
    return issubclass(type(value), asyncio.Task)


def code_of(function: Any) -> CodeType | None:
    """Return the code of a function, a method or a partial of one; None for anything not written in Python.

    For a decorated function it is the user's code (by `functools.wraps`), not the decorator's.
    """
    while issubclass(type(function), functools.partial):
        function = own(function, "func")
    if type(function) is MethodType:
        function = function.__func__
    elif type(function) is type or type(function) is BuiltinMethodType:
        return None
    for _ in range(_MOST_DECORATORS):
        inner = function.__dict__.get("__wrapped__") if type(function) is FunctionType else None
        if type(inner) is not FunctionType:
            break
        function = inner
    code = function.__code__ if type(function) is FunctionType else own(function, "__code__")
    return code if type(code) is CodeType else None


def name_of(value: Any) -> str:
    """The qualified name of a function or coroutine, else that of its type."""
    if type(value) is MethodType:
        value = value.__func__
    name = own(value, "__qualname__")
    return name if type(name) is str and name else type(value).__qualname__


def coroutine_code(coroutine: Any) -> CodeType | None:
    """The code of a coroutine written in Python; None for any other."""
    code = own(coroutine, "cr_code")
    return code if type(code) is CodeType else None


def local_of(frame: FrameType, name: str) -> Any:
    """A local variable of a function's frame; None where it has none of that name.

    Not for the user's functions: until Python 3.13 this changes what their `locals()` returns.
    """
    if not frame.f_code.co_flags & CO_OPTIMIZED:  # of a module or a class they are its very namespace
        return None
    found = frame.f_locals
    value = found.get(name)
    if type(found) is dict:  # a copy that the frame would keep, and with it all that it names
        found.clear()
    return value


def take_this_frame_out(error: BaseException) -> None:
    """Remove the calling frame from the traceback of an exception that it caught and re-raises next, and those of ours
    between it and the host's.

    A bare `raise` adds no entry for the frame it is in, so the host sees its own frames only.
    """
    traceback = error.__traceback__
    if traceback is not None:
        below = error.__traceback__ = traceback.tb_next
        while below is not None and below.tb_frame.f_code.co_filename.startswith(_OURS):
            below = below.tb_next
        error.__traceback__ = below or error.__traceback__


def known_thread(ident: int) -> threading.Thread | None:
    """Return the object of a thread, if it has one: `threading.current_thread` would make one for a foreign thread."""
    found: threading.Thread | None = threading._active.get(ident)  # type: ignore[attr-defined]
    return found


def lasting_thread() -> tuple[threading.Thread, bool]:
    """Return this thread's object, and whether it lives as long as the thread: an object that threading creates for
    a foreign thread does not."""
    thread = threading.current_thread()
    return thread, type(thread) is not threading._DummyThread


def ended_in_error(task: Any) -> bool:
    """Return whether a task ended with an exception. Task.exception() would mark it as retrieved."""
    return getattr(task, "_exception", None) is not None
