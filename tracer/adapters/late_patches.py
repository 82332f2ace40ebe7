"""Patches functions and methods by their dotted names, now and as their modules are imported."""

import sys
import threading
from collections.abc import Callable, Mapping
from inspect import getattr_static
from typing import Any, Generic, TypeVar

from whywait.tracer.hotpath.recorder import probe_failed
from whywait.tracer.waking.import_watch import ImportWatch

E = TypeVar("E")
Undo = Callable[[], None]


class LatePatches(Generic[E]):
    """The patches of one library: `replace(owner, name, entry)` makes one, and returns its undo, or None."""

    def __init__(self, probe: str, table: Mapping[str, E], replace: Callable[[Any, str, E], Undo | None]) -> None:
        self._probe = probe
        self._waiting = dict(table)
        self._replace = replace
        self._undo: list[Undo] = []
        self._stop_waiting: Undo = lambda: None
        self._lock = threading.RLock()
        self._closed = False

    def install(self) -> None:
        """Patch what is imported already, and the rest when it is imported."""
        names = {".".join(parts[:n]) for parts in map(_parts, self._waiting) for n in range(1, len(parts))}
        self._stop_waiting = ImportWatch(names, self._imported).install()
        self._imported("")

    def mark(self, owner: Any, name: str, entry: E) -> None:
        with self._lock:
            if self._closed:
                return
            undo = self._replace(owner, name, entry)
            if undo is not None:
                self._undo.append(undo)

    def _imported(self, _: str) -> None:
        """Called in the thread that imported a module, after the import. Never raises."""
        try:
            with self._lock:
                for name in list(self._waiting):
                    owner = owner_of(name)
                    if owner is not None and not self._closed:
                        self.mark(owner, _parts(name)[-1], self._waiting.pop(name))
                if not self._waiting:
                    self._stop_waiting()
        except Exception as error:
            probe_failed(self._probe, error)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._stop_waiting()
            while self._undo:
                self._undo.pop()()


def _parts(name: str) -> list[str]:
    return name.split(".")


def owner_of(name: str) -> Any:
    """The module or class that has the named function now; None before it is imported."""
    parts = _parts(name)
    for count in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:count]))
        if found is None:
            continue
        for part in parts[count:-1]:  # statically: an attribute of a lazy module would load it
            found = getattr_static(found, part, None)
        return found if getattr_static(found, parts[-1], None) is not None else None
    return None
