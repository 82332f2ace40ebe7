"""Reports when a module has been imported: the finder asks the other finders, and has their loader report. It is in
`sys.meta_path` only while a watch waits."""

import sys

TYPE_CHECKING = False  # only what is needed is imported: every Python child of a service pays for it
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any


class ImportWatch:
    """Calls `imported(name)` after each of the named modules was imported for the first time."""

    def __init__(self, names: "Collection[str]", imported: "Callable[[str], None]") -> None:
        self._names = frozenset(names)
        self._imported = imported

    def install(self) -> "Callable[[], None]":
        """Begin to watch, and return the undo."""
        sys.meta_path.insert(0, self)

        def undo() -> None:
            self._names = frozenset()
            if self in sys.meta_path:
                sys.meta_path.remove(self)

        return undo

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Called by the import system. Returns what the later finders find."""
        if name not in self._names:
            return None
        others = iter(list(sys.meta_path))
        for finder in others:
            if finder is self:
                break
        for finder in others:
            find: Any = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find(name, path, target) if find is not None else None
            if spec is not None:
                self._watch(name, spec)
                return spec
        return None

    def _watch(self, name: str, spec: "ModuleSpec") -> None:
        loader: Any = spec.loader
        plain = getattr(loader, "exec_module", None)
        if plain is None or isinstance(loader, type):  # built in, or frozen
            return

        def exec_module(module: "ModuleType") -> None:
            if module.__name__ != name:  # a loader of many, such as a zip file's
                plain(module)
                return
            # several watches may wait for one module: each removes its own loader
            if loader.__dict__.get("exec_module") is exec_module:
                del loader.exec_module
            plain(module)
            if name in self._names:
                self._imported(name)

        try:
            loader.exec_module = exec_module
        except AttributeError:  # a loader in C: its modules are marked at the next `start`
            return
