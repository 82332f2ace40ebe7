"""A file descriptor of whywait. A service that closes all descriptors that it does not know, as daemons do, has given
the number to a file of its own: that one is not written to, read or closed."""

import os
from collections.abc import Callable


class OwnFile:
    """Takes an open descriptor."""

    __slots__ = ("_known", "fd")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._known = self._identity()

    # the defaults keep references for interpreter exit, when module globals are gone
    def _identity(self, fstat: Callable[[int], os.stat_result] = os.fstat) -> tuple[int, int] | None:
        try:
            found = fstat(self.fd)
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def is_ours(self) -> bool:
        """Whether it is still the file that it was."""
        return self.fd >= 0 and self._identity() == self._known

    def close(self, close: Callable[[int], None] = os.close) -> None:
        """Close it if it is still ours; further calls have no effect."""
        if self.is_ours():
            close(self.fd)
        self.fd = -1
