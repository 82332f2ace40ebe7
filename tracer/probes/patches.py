"""Replaces names of other libraries by functions of whywait, and restores exactly the originals."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from whywait.tracer.adapters.late_patches import LatePatches
from whywait.tracer.hotpath.recorder import logger

_INHERITED: Final = object()
E = TypeVar("E")


def wrap_when_imported(probe: str, table: Mapping[str, E], wrap: Callable[[Any, E], Any]) -> Callable[[], None]:
    """Replace each function that the table names by `wrap(function, entry)`, now or when its module is imported: a
    service that does not use a library does not import it for us. Return the undo."""

    def replaced(owner: Any, name: str, entry: E) -> Callable[[], None]:
        patches = Patches()
        patches.replace(owner, name, wrap(getattr(owner, name), entry))
        return patches.undo

    late = LatePatches(probe, table, replaced)
    late.install()
    return late.close


def named_as(one: type[Any], plain: type[Any]) -> None:
    """Give a class that stands for another one its names."""
    one.__module__, one.__qualname__, one.__name__ = plain.__module__, plain.__qualname__, plain.__name__


class Patches:
    """The replacements of one probe. `undo` removes them, the last first; a second call has no effect."""

    def __init__(self) -> None:
        self._undo: list[tuple[str, Callable[[], None]]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a class, module or object until the undo; if that fails, undo the replacements so far
        and raise."""
        was = vars(owner).get(name, _INHERITED)
        try:
            setattr(owner, name, value)
        except BaseException:
            self.undo()
            raise
        self.add(f"{getattr(owner, '__name__', owner)}.{name}", partial(_put_back, owner, name, was))

    def add(self, title: str, undo: Callable[[], None]) -> None:
        """Add another undo, in order; a log line names it `title` if it fails."""
        self._undo.append((title, undo))

    def undo(self) -> None:
        """Restore everything. A failing restore is logged, and does not stop the others."""
        while self._undo:
            title, undo = self._undo.pop()
            try:
                undo()
            except Exception as error:
                logger.warning(
                    "whywait: could not remove its patch of %s: %r. The process continues with the patch, which "
                    "records nothing. Restart the process to remove it.",
                    title,
                    error,
                )


def _put_back(owner: Any, name: str, was: Any) -> None:
    if was is _INHERITED:
        delattr(owner, name)
    else:
        setattr(owner, name, was)
