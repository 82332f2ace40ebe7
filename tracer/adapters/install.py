"""Applies the table of one library while a session runs, now and as its modules are imported."""

import sys
import threading
from collections.abc import Callable
from inspect import getattr_static
from typing import Any

from whywait.tracer.adapters import registry
from whywait.tracer.adapters.devices import forget_devices
from whywait.tracer.adapters.registry import Table, table_of
from whywait.tracer.adapters.rule import Rule
from whywait.tracer.adapters.steps import Steps
from whywait.tracer.adapters.wrapping import replace
from whywait.tracer.hotpath import recorder as recorders
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.waking.import_watch import ImportWatch


class _Patches:
    """The marks of one library."""

    def __init__(self, library: str, table: Table) -> None:
        self.probe = probe_name(library)
        self._waiting = dict(table)
        self._undo: list[Callable[[], None]] = []
        self._lock = threading.RLock()
        self._closed = False

    def modules(self) -> set[str]:
        """Every name that may be a module with an entry of the table."""
        return {".".join(parts[:n]) for parts in map(_parts, self._waiting) for n in range(1, len(parts))}

    def apply(self) -> None:
        """Mark the entries whose modules have been imported meanwhile."""
        with self._lock:
            for name in list(self._waiting):
                owner = _owner(name)
                if owner is not None and not self._closed:
                    self.mark(owner, _parts(name)[-1], self._waiting.pop(name))

    def mark(self, owner: Any, name: str, rule: Rule) -> None:
        """Mark one function or method, until the undo."""
        with self._lock:
            if self._closed:
                return
            undo = replace(owner, name, rule, self.probe)
            if undo is not None:
                self._undo.append(undo)

    def imported(self, _: str) -> None:
        """Called in the thread that imported a module, after the import. Never raises."""
        try:
            self.apply()
        except Exception as error:
            recorders.probe_failed(self.probe, error)

    def close(self) -> None:
        """Remove all marks."""
        with self._lock:
            self._closed = True
            while self._undo:
                self._undo.pop()()


def probe_name(library: str) -> str:
    """The name of the library's adapter for the recorder."""
    return f"adapter {library}"


def _parts(name: str) -> list[str]:
    return name.split(".")


def _owner(name: str) -> Any:
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


class _Applied:
    """The adapters of one session. The recorder has it while the session runs."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._patches: dict[str, _Patches] = {}
        self._steps = Steps(self._mark)

    def added(self, library: str) -> None:
        """Apply a new table."""
        patches = _Patches(library, table_of(library))
        watch = ImportWatch(patches.modules(), patches.imported).install()

        def undo() -> None:
            watch()
            self._patches.pop(patches.probe, None)
            self._steps.forget()
            patches.close()

        self._patches[patches.probe] = patches
        self._recorder.undo[patches.probe] = undo
        patches.imported(library)

    def removed(self, library: str) -> None:
        """Remove the marks of a removed table."""
        undo = self._recorder.undo.pop(probe_name(library), None)
        if undo is not None:
            undo()

    def adopt_steps(self, container: Any, rule: Rule, method: str, probe: str) -> None:
        """Mark the steps of a container that are new to this session."""
        self._steps.adopt(container, rule, method, probe)

    def _mark(self, owner: Any, name: str, rule: Rule, probe: str) -> None:
        patches = self._patches.get(probe)
        if patches is not None:
            patches.mark(owner, name, rule)


def install(recorder: Recorder) -> Callable[[], None]:
    """Apply every registered table, and return the undo. Only a failing adapter is removed."""
    applied = recorder.adapters = _Applied(recorder)
    for library in registry.libraries():
        applied.added(library)

    def undo() -> None:  # the recorder undoes those of the libraries
        recorder.adapters = None
        forget_devices()

    return undo
