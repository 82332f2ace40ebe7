"""Replaces names of other libraries by functions of whywait, and restores exactly the originals."""

from collections.abc import Callable, Mapping
from functools import partial, update_wrapper
from pkgutil import resolve_name
from types import BuiltinFunctionType, FunctionType, ModuleType
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


def _as_builtin(function: FunctionType, plain: Any, name: str) -> Any:
    """Return an object that calls `function` in place of a function in C. It is as that one where a class has it as an
    attribute, `sleep = time.sleep`: no method. And it is pickled by `name`."""
    kind: dict[str, Any] = {
        "__call__": staticmethod(function),
        "__get__": lambda one, *_: one,  # for `inspect.isroutine`
        "__repr__": lambda _: repr(plain),
        "__reduce__": lambda _: (resolve_name, (name,)),
    }
    one = type(type(plain).__name__, (), kind)()
    one.__dict__.update(vars(function), __self__=plain.__self__, __text_signature__=plain.__text_signature__)
    return update_wrapper(one, plain)


class Patches:
    """The replacements of one probe. `undo` removes them, the last first; a second call has no effect."""

    def __init__(self) -> None:
        self._undo: list[tuple[str, Callable[[], None]]] = []

    def replace(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute of a class, module or object until the undo; if that fails, undo the replacements so far
        and raise. What the service has put there since stays there."""
        was = vars(owner).get(name, _INHERITED)
        if isinstance(owner, ModuleType) and isinstance(was, BuiltinFunctionType) and isinstance(value, FunctionType):
            value = _as_builtin(value, was, f"{owner.__name__}:{name}")
        try:
            setattr(owner, name, value)
        except BaseException:
            self.undo()
            raise
        self.add(f"{getattr(owner, '__name__', owner)}.{name}", partial(_put_back, owner, name, was, value))

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


def _put_back(owner: Any, name: str, was: Any, ours: Any) -> None:
    if vars(owner).get(name) is not ours:
        return
    if was is _INHERITED:
        delattr(owner, name)
    else:
        setattr(owner, name, was)
