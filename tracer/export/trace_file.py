"""One OTLP JSON Lines file: each line is complete or absent, also on a full disk and in a forked child."""

import errno
import gzip
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from whywait.tracer.export.output_bound import PARTS, make_room, part_path
from whywait.tracer.host.own_file import OwnFile

_FAST = 1  # the level: two thirds of the default's time for a fifth more bytes, a seventh of the plain ones


class TraceFile:
    """A text file of lines. Raises OSError when created, never later. The file is made with its first
    line, for its owner alone; nothing is buffered (a forked child would write it again), and several processes may
    append. A *.gz file has a member for each line. With `bound_bytes` full parts follow one another, and the oldest files of
    the output go: `gone` is told how many."""

    def __init__(
        self, path: str | os.PathLike[str], bound_bytes: int = 0, gone: Callable[[int], None] = lambda _: None
    ) -> None:  # fmt: skip
        self._first = self._path = Path(path)
        self._part = 0
        self._bound_bytes = bound_bytes
        self._gone = gone
        self._file: OwnFile | None = None
        if os.path.lexists(path):
            self._open()
        elif not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        self.closed = False
        self.error: OSError | None = None  # why the latest line was not written
        self._torn = False
        self._is_packed = self._path.suffix == ".gz"

    def _open(self) -> int:
        if self._file is None or not self._file.is_ours():
            self._file = OwnFile(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600))
        return self._file.fd

    def _with_room_for(self, count: int) -> int:
        fd = self._open()
        while (self._torn and self._is_packed) or (
            self._bound_bytes and 0 < os.fstat(fd).st_size > self._bound_bytes // PARTS - count
        ):
            self._part += 1
            self._path = part_path(self._first, self._part)
            os.close(fd)
            self._file = None
            self._torn = False
            fd = self._open()
            if self._bound_bytes:
                removed = make_room(self._path, self._bound_bytes - self._bound_bytes // PARTS)
                self._gone(len(removed))
        return fd

    def write(self, line: str) -> int:
        """Append a line. On failure, remove the partial line and store the error."""
        content = line.encode()
        if self._is_packed:
            content = gzip.compress(content, _FAST)
        elif self._torn:
            content = b"\n" + content
        done = 0
        try:
            fd = self._with_room_for(len(content))
            while done < len(content):
                done += os.write(fd, content[done:])
        except OSError as error:
            self.error = error
            if done:
                self._torn = not self._take_back(fd, done)
        else:
            self.error = None
            self._torn = False
        return len(line)

    def _take_back(self, fd: int, count: int) -> bool:
        try:
            size = os.fstat(fd).st_size
            if os.lseek(fd, 0, os.SEEK_CUR) != size:
                return False  # another process has appended since
            os.ftruncate(fd, size - count)
        except OSError:  # no regular file
            return False
        return True

    def close(self) -> None:
        """Close the file; further calls have no effect. In a forked child the parent's file stays open."""
        if not self.closed:
            self.closed = True
            if self._file is not None:
                with suppress(OSError):
                    self._file.close()
