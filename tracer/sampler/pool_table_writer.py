"""The sampled process's side of the table of process pools: a row for each pool that has a job of a request."""

import mmap
from collections import deque
from itertools import count

from whywait.tracer.sampler.shared.pool_table import CHANGES, PIPE, POOLS, ROW, Watched, pack


class PoolTable:
    """Takes no lock, so that a pool may end in the midst of anything. Never raises after it was made."""

    def __init__(self, memory: mmap.mmap, at: int) -> None:
        self._memory: mmap.mmap | None = memory
        self._at = at
        self._changes = count(1)
        self.keys = count(PIPE, 2)  # no two pools of a session have the same
        self._free = deque(range(POOLS))
        self._numbers: dict[int, int] = {}

    def show(self, row: Watched) -> None:
        """Writes a pool's row, where there is room."""
        number = self._numbers.get(row.key)
        if number is None and self._free:
            number = self._numbers[row.key] = self._free.popleft()
        if number is not None:
            self._write(number, row)

    def hide(self, key: int) -> None:
        """Takes a pool's row out."""
        number = self._numbers.pop(key, None)
        if number is not None:
            self._write(number, Watched())
            self._free.append(number)

    def _write(self, number: int, row: Watched) -> None:
        begin = self._at + CHANGES.size + number * ROW.size
        try:
            if self._memory is not None:
                self._memory[begin : begin + ROW.size] = pack(row)
                CHANGES.pack_into(self._memory, self._at, next(self._changes))
        except ValueError:  # closed meanwhile
            self._memory = None

    def close(self) -> None:
        """The memory is about to be given back."""
        self._memory = None
