"""Pauses during long work, so that the host's threads do not wait long for the GIL."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeAlias, TypeVar

Pause: TypeAlias = Callable[[], None]
T = TypeVar("T")
_FEW: Final = 128  # handled in less time than a pause would take


def no_pause() -> None:
    """No pause."""


def rested(items: Sequence[T], pause: Pause) -> Iterable[T]:
    """Return the items; while many are iterated, `pause` is called periodically."""
    return items if len(items) <= _FEW else _with_pauses(items, pause)


def _with_pauses(items: Sequence[T], pause: Pause) -> Iterator[T]:
    for start in range(0, len(items), _FEW):
        yield from items[start : start + _FEW]
        pause()
