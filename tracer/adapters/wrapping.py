"""Replaces a function by a marked call, and restores it."""

import copy
import functools
import inspect
from collections.abc import Callable
from typing import Any
from weakref import ref

from whywait.tracer.adapters import calls
from whywait.tracer.adapters.rule import Rule
from whywait.tracer.decorators import phase
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.records.current import current_activity

_MARK = "_whywait_mark"  # on the marked function: its id, and the original (None: it was inherited)


def wrapped(function: Callable[..., Any], rule: Rule, method: str, probe: str, *, bound: bool) -> Any:
    """Return the same function with recorded calls. It can be pickled by value, since it refers to modules only."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def coroutine(*args: Any, **kwargs: Any) -> Any:
            if current_activity() is None:
                return await function(*args, **kwargs)
            owner = type(args[0]).__name__ + "." if bound and args else ""
            with phase(f"{rule.phase}: {owner}{method}"):
                return await function(*args, **kwargs)

        return coroutine

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if recorders.active is None:
            return function(*args, **kwargs)
        made = calls.begin(rule, method, probe, args[0] if bound and args else None, args[bound:], kwargs)
        if made is None:
            return function(*args, **kwargs)
        error: type[BaseException] | None = None
        try:
            return function(*args, **kwargs)
        except BaseException as raised:
            error = type(raised)
            raise
        finally:
            calls.end(made, error)

    return call


def is_marked(raw: Any) -> bool:
    """Whether the attribute of a class or module is already marked."""
    function = _function_of(raw)
    # the id distinguishes it from a wrapper around it, which functools.wraps gives the same attributes
    return bool(getattr(function, "__dict__", {}).get(_MARK, (None,))[0] == id(function))


def replace(owner: Any, name: str, rule: Rule, probe: str) -> Callable[[], None] | None:
    """Mark `owner.name` of a class or module, and return the undo; None if it cannot be marked.

    An inherited method is marked in `owner` only. Anything but a function or method is not marked.
    """
    own = name in vars(owner)
    raw = inspect.getattr_static(owner, name, None)
    made = _marked(owner, raw, name, rule, probe)
    if made is None:
        return None
    function = _function_of(made)
    setattr(function, _MARK, (id(function), raw if own else None))
    try:
        setattr(owner, name, made)
    except (TypeError, AttributeError):  # a class in C
        return None
    of = ref(owner)

    def undo() -> None:
        found = of()
        if found is None:
            return
        current = vars(found).get(name)
        if not is_marked(current):
            return  # other code replaced it; the mark inside that has no effect any more
        _, plain = getattr(_function_of(current), _MARK)
        if plain is not None:
            setattr(found, name, plain)
        else:
            delattr(found, name)

    return undo


def _function_of(raw: Any) -> Any:
    if isinstance(raw, classmethod | staticmethod):
        return raw.__func__
    return vars(raw).get("fn", raw) if _is_conditional(raw) else raw


def _is_conditional(raw: Any) -> bool:
    """Whether the method exists on a condition: scikit-learn's `available_if`."""
    return hasattr(type(raw), "__get__") and {"fn", "check"} <= set(getattr(raw, "__dict__", ()))


def _marked(owner: Any, raw: Any, name: str, rule: Rule, probe: str) -> Any:
    if is_marked(raw) or isinstance(raw, type | property):
        return None
    in_class = isinstance(owner, type)
    if isinstance(raw, classmethod | staticmethod):
        bound = isinstance(raw, classmethod)
        return type(raw)(wrapped(raw.__func__, rule, name, probe, bound=bound))
    if _is_conditional(raw):
        made = copy.copy(raw)
        made.fn = wrapped(raw.fn, rule, name, probe, bound=True)
        return made
    if not callable(raw) or inspect.isgeneratorfunction(raw) or inspect.isasyncgenfunction(raw):
        return None
    return wrapped(raw, rule, name, probe, bound=in_class)
