"""One file that another process is writing: the complete lines since the last reading."""

import os
from collections import Counter
from io import FileIO
from pathlib import Path
from typing import Final

_CHUNK: Final = 1 << 20
_LONGEST_LINE: Final = 32 << 20
_MARK: Final = 64  # bytes before the position: they show whether the file is still the same

LOST_LINE: Final = "line"
REWRITTEN: Final = "truncated file"


class Tail:
    """Reads from `start` on. Its inode identifies it, so that a renamed file stays the same file."""

    def __init__(self, path: Path, found: os.stat_result, start: int, lost: Counter[str]) -> None:
        self.path = path
        self.key = (found.st_dev, found.st_ino)
        self.size = found.st_size
        self._offset = start  # of the first byte that was not returned yet
        self._mark = b""
        self._skipping = False  # inside a line over the limit
        self._lost = lost
        self._file: FileIO | None = None
        if start:
            self._begin_at(start)

    @property
    def is_open(self) -> bool:
        return self._file is not None

    @property
    def behind(self) -> int:
        """Bytes that were not returned yet, as of the last reading."""
        return max(self.size - self._offset, 0)

    def open(self) -> bool:
        """Open the file if it is still the same one; False when it cannot be read."""
        if self._file is not None:
            return True
        try:
            file = FileIO(self.path)
        except OSError:
            return False
        found = os.fstat(file.fileno())
        if (found.st_dev, found.st_ino) != self.key:
            file.close()
            return False
        self._file = file
        return True

    def close(self) -> None:
        """Close the file; a later read opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def grown(self) -> bool:
        """Whether there is something to read, or the file was truncated. Opens nothing if `size` is known."""
        if self._file is not None:
            self.size = os.fstat(self._file.fileno()).st_size
        return self.size != self._offset

    def read(self, most: int, *, final: bool = False) -> list[bytes]:
        """Return complete lines, about `most` bytes; `final`: also a last one without a line end. A rewritten file is
        read from its beginning. Raises OSError."""
        if not self.open() or self._file is None:
            return []
        file = self._file.fileno()
        self.size = os.fstat(file).st_size
        if self._is_another(file):
            self._lost[REWRITTEN] += 1
            self._offset, self._mark, self._skipping = 0, b"", False
        lines: list[bytes] = []
        end, before = min(self.size, self._offset + most), -1
        while before < self._offset < end:
            before = self._offset
            lines += self._next_lines(file, final=final)
        return lines

    def _next_lines(self, file: int, *, final: bool) -> list[bytes]:
        """The whole lines of the next piece; where it has no end of a line, it is waited for, or the line is too long."""
        data = os.pread(file, _CHUNK, self._offset)
        if b"\n" not in data:
            data = os.pread(file, _LONGEST_LINE, self._offset)
        whole = data[: data.rfind(b"\n") + 1]
        if not whole and (self._skipping or len(data) == _LONGEST_LINE):
            self._lost[LOST_LINE] += not self._skipping
            self._skipping = True
            self._advance(data)
            return []
        whole = whole or data[: len(data) * final]
        self._advance(whole)
        if self._skipping:
            self._skipping = False
            whole = whole[whole.index(b"\n") + 1 :]
        return whole.splitlines(keepends=True)

    def _advance(self, data: bytes) -> None:
        self._offset += len(data)
        self._mark = (self._mark + data[-_MARK:])[-_MARK:]

    def _is_another(self, file: int) -> bool:
        if self.size < self._offset:
            return True
        return os.pread(file, len(self._mark), self._offset - len(self._mark)) != self._mark

    def _begin_at(self, start: int) -> None:
        """Move back to the beginning of the line that contains `start`."""
        if not self.open() or self._file is None:
            return
        file = self._file.fileno()
        first = max(start - _CHUNK, 0)
        before = os.pread(file, start - first, first)
        whole = before[: before.rfind(b"\n") + 1]
        self._skipping = first > 0 and not whole
        self._offset = start if self._skipping else first + len(whole)
        self._mark = (whole or before)[-_MARK:] if self._offset else b""
