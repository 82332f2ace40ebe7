"""A count that is exact, whichever threads and signal handlers add to it, and needs no lock: a fork may come any time."""

from operator import length_hint
from typing import Final

_MOST: Final = 2**62


class Tally:
    """Call `add()` to count one more."""

    __slots__ = ("_left", "add")

    def __init__(self) -> None:
        self._left = iter(range(_MOST))
        self.add = self._left.__next__  # one step of the interpreter

    def __int__(self) -> int:
        """Return how many were counted so far."""
        return _MOST - length_hint(self._left)
