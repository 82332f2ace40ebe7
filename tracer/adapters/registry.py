"""The tables of phases by library: built in and registered by the user."""

import threading
from collections.abc import Mapping
from typing import Any

from whywait.tracer.adapters.builtin import CLIENTS, CUPY, PANDAS, SKLEARN, XGBOOST
from whywait.tracer.adapters.rule import Rule
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import AppliedTables

__all__ = ["AdapterError", "Rule", "Table", "libraries", "register", "table_of", "unregister"]

Table = Mapping[str, Rule]


class AdapterError(ValueError):
    """A table cannot be used. The message names the entry, what was found and what was expected."""


_lock = threading.Lock()
# per process, not per session: tables are registered before a session starts, and outlive it
_tables: dict[str, Table] = {"pandas": PANDAS, "sklearn": SKLEARN, "xgboost": XGBOOST, "cupy": CUPY, "clients": CLIENTS}


def register(library: str, table: Mapping[str, str | Rule]) -> None:
    """Record calls of the named functions and methods as phases.

    Keys are dotted import names ("mylib.Model.predict"), values a phase ("conversion", "compute", ... or one of
    your own) or a `Rule`. The table replaces an earlier one of `library`, and takes effect at once while a
    session runs. Raises `AdapterError` on a table that cannot be used.
    """
    rules = {name: _checked(library, name, value) for name, value in table.items()}
    with _lock:
        known = library in _tables
        _tables[library] = rules
    applied = _applied()
    if applied is not None:
        if known:
            applied.removed(library)
        applied.added(library)


def unregister(library: str) -> None:
    """Remove the table of `library`, a built-in one too. Without a table nothing happens."""
    with _lock:
        known = _tables.pop(library, None)
    applied = _applied()
    if known is not None and applied is not None:
        applied.removed(library)


def libraries() -> tuple[str, ...]:
    """Return the libraries with a table."""
    return tuple(_tables)


def table_of(library: str) -> Table:
    """Return the table of `library`; {} without one."""
    return _tables.get(library, {})


def _applied() -> AppliedTables | None:
    recorder = recorders.active
    return recorder.adapters if recorder is not None else None


def _checked(library: str, name: str, value: Any) -> Rule:
    rule = Rule(value) if isinstance(value, str) else value
    if not isinstance(rule, Rule) or not rule.phase.strip():
        raise AdapterError(f"{name!r} of {library!r} is {value!r}; expected a phase such as 'compute', or a Rule")
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise AdapterError(f"{name!r} of {library!r} is not a dotted name; expected one such as 'mylib.Model.predict'")
    return rule
