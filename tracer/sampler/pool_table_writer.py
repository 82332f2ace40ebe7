"""The sampled process's side of the table of process pools."""

import mmap
import threading
from collections.abc import Sequence
from itertools import count

from whywait.tracer.sampler.shared.pool_table import PIPE, WATCH, WATCH_SIZE


class PoolTable:
    """Never raises after it was made."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory: mmap.mmap | None = memory
        self._at = at
        self._lock = threading.Lock()
        self._changes = count(1)
        self.keys = count(PIPE, 2)  # no two pools of a session have the same
        self._rows: dict[int, bytes] = {}

    def show(self, key: int, row: Sequence[int]) -> None:
        """Writes a pool's row, where there is room; none where it is empty."""
        with self._lock:
            self._rows.pop(key, None)
            if row:
                self._rows[key] = b"%s\n" % " ".join(map(str, (key, *row))).encode()
            if self._memory is None:
                return
            text = b"".join(self._rows.values())[: WATCH_SIZE - WATCH.size].rpartition(b"\n")[0]
            begin = self._at + WATCH.size
            WATCH.pack_into(self._memory, self._at, next(self._changes), 0)
            self._memory[begin : begin + len(text)] = text
            WATCH.pack_into(self._memory, self._at, next(self._changes), len(text))

    def close(self) -> None:
        """The memory is about to be given back."""
        with self._lock:
            self._memory = None
