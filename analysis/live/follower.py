"""Follows a growing trace file, or a directory with one file per process: rotation, truncation, new files."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from whywait.analysis.live.tail import Tail

_SUFFIXES: Final = (".jsonl", ".json")  # a line of a compressed file cannot be told from a half
_MOST_OPEN: Final = 128
_FORGET_AFTER: Final = 300  # readings without growth before an unlisted file is closed


class Follower:
    """Returns the lines written since the last reading; of files that exist at first only the last `back` bytes are
    read. A renamed or deleted file is followed while it grows, since its writer has it open. `lost` counts losses, by
    kind."""

    def __init__(self, path: Path, *, back: int = 0) -> None:
        self.path = path
        self.lost: Counter[str] = Counter()
        self._back = back
        self._tails: dict[tuple[int, int], Tail] = {}  # in order of their last growth
        self._quiet: Counter[tuple[int, int]] = Counter()  # readings since the last growth of an unlisted file
        self._look(first=True)

    @property
    def files(self) -> int:
        return len(self._tails)

    @property
    def behind(self) -> int:
        """Bytes in the files that were not returned yet."""
        return sum(tail.behind for tail in self._tails.values())

    def poll(self, most: int, *, final: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yields (number of the file, line), about `most` bytes in all, shared fairly among the files."""
        listed = self._look()
        grown = [tail for tail in self._tails.values() if tail.grown()]
        for tail in grown:
            self._tails[tail.key] = self._tails.pop(tail.key)
            try:
                lines = tail.read(max(most // len(grown), 1), final=final)
            except OSError:
                self.lost["unreadable file"] += 1
                continue
            for line in lines:
                yield tail.key[1], line
        self._let_go(listed, {tail.key for tail in grown})

    def close(self) -> None:
        for tail in self._tails.values():
            tail.close()

    def _look(self, *, first: bool = False) -> set[tuple[int, int]]:
        listed = set()
        for path, found in sorted(self._found(), key=lambda one: one[1].st_mtime_ns):
            key = (found.st_dev, found.st_ino)
            listed.add(key)
            tail = self._tails.get(key)
            if tail is None:
                start = max(found.st_size - self._back, 0) if first else 0
                tail = self._tails[key] = Tail(path, found, start, self.lost)
                tail.open()
            elif not tail.is_open:
                tail.path, tail.size = path, found.st_size
        return listed

    def _found(self) -> Iterator[tuple[Path, os.stat_result]]:
        try:
            paths = [self.path]
            if self.path.is_dir():
                paths = [one for one in self.path.iterdir() if one.suffix in _SUFFIXES]
        except OSError:
            return
        for path in paths:
            try:
                found = path.stat()
            except OSError:  # it was removed between the two readings
                continue
            if path.is_file():
                yield path, found

    def _let_go(self, listed: set[tuple[int, int]], grown: set[tuple[int, int]]) -> None:
        for key in self._tails.keys() - listed:
            self._quiet[key] = 0 if key in grown else self._quiet[key] + 1
            if self._quiet[key] > _FORGET_AFTER or not self._tails[key].is_open:
                self._tails.pop(key).close()
                del self._quiet[key]
        held = [tail for tail in self._tails.values() if tail.is_open]
        for tail in held[: max(len(held) - _MOST_OPEN, 0)]:
            tail.close()
