"""Checks whether the private names that a probe needs exist in the installed versions of other libraries."""

from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from inspect import unwrap
from types import ModuleType
from typing import Any, Final

_MISSING: Final = object()


def missing_names(names: Iterable[str]) -> list[str]:
    """Return the dotted names that do not exist although their library is installed."""
    return [name for name in names if not _exists(name)]


def _exists(name: str) -> bool:
    first, *others = name.split(".")
    found: Any = None
    with suppress(Exception):  # what cannot be imported here, nobody uses here
        found = import_module(first) if find_spec(first) is not None else None
    if found is None:
        return True
    path = first
    for part in others:
        path += f".{part}"
        inner = getattr(found, part, _MISSING)
        if inner is _MISSING and isinstance(found, ModuleType):
            with suppress(Exception):
                inner = import_module(path)
        if inner is _MISSING:
            return path == name and isinstance(found, type) and _is_set_by_methods(found, part)
        found = inner
    return True


def _is_set_by_methods(owner: type, name: str) -> bool:
    """Whether a method of the class, such as `__init__`, uses an attribute of its instances."""
    methods = (unwrap(method) for one in owner.__mro__ for method in vars(one).values() if callable(method))
    return any(name in getattr(getattr(method, "__code__", None), "co_names", ()) for method in methods)
