"""One OTLP JSON Lines file: each line is complete or absent, also on a full disk and in a forked child."""

import os
from contextlib import suppress


class TraceFile:
    """A text stream for the file exporter. Raises OSError when created, never later.

    Nothing is buffered, so that a forked child cannot write half of a line again. Several processes may append to
    one file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        self.closed = False
        self.error: OSError | None = None  # why the latest line was not written
        self._torn = False

    def write(self, line: str) -> int:
        """Append a line. On failure, remove the partial line and store the error."""
        content = line.encode()
        if self._torn:
            content = b"\n" + content
        done = 0
        try:
            while done < len(content):
                done += os.write(self._fd, content[done:])
        except OSError as error:
            self.error = error
            if done:
                self._torn = not self._take_back(done)
        else:
            self.error = None
            self._torn = False
        return len(line)

    def _take_back(self, count: int) -> bool:
        try:
            size = os.fstat(self._fd).st_size
            if os.lseek(self._fd, 0, os.SEEK_CUR) != size:
                return False  # another process has appended since
            os.ftruncate(self._fd, size - count)
        except OSError:  # no regular file
            return False
        return True

    def flush(self) -> None:
        """Nothing is buffered."""

    def close(self) -> None:
        """Close the file; further calls have no effect. In a forked child the parent's file stays open."""
        if not self.closed:
            self.closed = True
            with suppress(OSError):
                os.close(self._fd)
