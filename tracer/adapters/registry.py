"""Which names of which library are which phase: a table per library, ours and the user's alike."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from whywait.tracer.adapters.builtin import CUPY, PANDAS, SKLEARN, XGBOOST
from whywait.tracer.adapters.rule import Rule

__all__ = ["AdapterError", "Rule", "Table", "libraries", "register", "table_of", "unregister"]

Table = Mapping[str, Rule]


class AdapterError(ValueError):
    """A table cannot be used; the message says which entry, what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class _Listener:
    """What a running session wants to be told."""

    added: Callable[[str], None]
    removed: Callable[[str], None]


_lock = threading.Lock()
_tables: dict[str, Table] = {"pandas": PANDAS, "sklearn": SKLEARN, "xgboost": XGBOOST, "cupy": CUPY}
_listener: _Listener | None = None


def register(library: str, table: Mapping[str, str | Rule]) -> None:
    """Has calls of the named functions and methods recorded as phases.

    Keys are dotted names as one would import them ("mylib.Model.predict"), values the phase's word
    ("conversion", "compute", ... or one of your own) or a `Rule`. Replaces what `library` had before, and
    takes effect at once where the process is being traced. Raises `AdapterError` on a table that cannot be used.
    """
    rules = {name: _checked(library, name, value) for name, value in table.items()}
    with _lock:
        known = library in _tables
        _tables[library] = rules
        listener = _listener
    if listener is not None:
        if known:
            listener.removed(library)
        listener.added(library)


def unregister(library: str) -> None:
    """Forgets the table of `library`, ours included; nothing happens where there is none."""
    with _lock:
        known = _tables.pop(library, None)
        listener = _listener
    if known is not None and listener is not None:
        listener.removed(library)


def libraries() -> tuple[str, ...]:
    """The libraries that have a table."""
    return tuple(_tables)


def table_of(library: str) -> Table:
    """The table of `library`; empty where there is none."""
    return _tables.get(library, {})


def listen(added: Callable[[str], None], removed: Callable[[str], None]) -> Callable[[], None]:
    """Has a session told of tables that come and go while it runs; returns the undo."""
    global _listener
    _listener = _Listener(added, removed)

    def undo() -> None:
        global _listener
        _listener = None

    return undo


def _checked(library: str, name: str, value: Any) -> Rule:
    rule = Rule(value) if isinstance(value, str) else value
    if not isinstance(rule, Rule) or not rule.phase.strip():
        raise AdapterError(
            f"{name!r} of {library!r} is {value!r}; expected a phase such as 'compute', or a Rule"
        )
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise AdapterError(
            f"{name!r} of {library!r} is no dotted name; expected one such as 'mylib.Model.predict'"
        )
    return rule
