"""Puts our functions in the place of other libraries' names, and puts back exactly what was there."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from whywait.tracer.hotpath.recorder import logger

_INHERITED: Final = object()


class Patches:
    """The replacements of one probe. `undo` takes them out, the last first; a second call does nothing."""

    def __init__(self) -> None:
        self._undo: list[tuple[str, Callable[[], None]]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute of a class, module or object until the undo.

        One that cannot be replaced raises, and takes out what these patches have replaced so far.
        """
        was = vars(owner).get(name, _INHERITED)
        try:
            setattr(owner, name, value)
        except BaseException:
            self.undo()
            raise
        self.add(f"{getattr(owner, '__name__', owner)}.{name}", partial(_put_back, owner, name, was))

    def add(self, title: str, undo: Callable[[], None]) -> None:
        """Has something else undone in its turn; a log line calls it `title` where that fails."""
        self._undo.append((title, undo))

    def undo(self) -> None:
        """Puts everything back. What cannot be put back is logged and keeps nothing else in place."""
        while self._undo:
            title, undo = self._undo.pop()
            try:
                undo()
            except Exception as error:
                logger.warning(
                    "whywait: could not take out its patch of %s: %r. The process goes on with the patch, which "
                    "records nothing. Restart the process to be rid of it.",
                    title,
                    error,
                )


def _put_back(owner: Any, name: str, was: Any) -> None:
    if was is _INHERITED:
        delattr(owner, name)
    else:
        setattr(owner, name, was)
