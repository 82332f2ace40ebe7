"""The function of each thread, kept after its end: the GIL's holder may have ended before the export."""

from collections import deque
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from whywait.tracer.host.code_location import Place

_MOST_LIVING: Final = 8_192
_MOST_ENDED: Final = 4_096


class ThreadLife(NamedTuple):
    """One thread from its start on, until another thread has its id."""

    start_ns: int  # perf_counter_ns; 0: before the session
    thread_id: int  # native
    thread_name: str
    place: Place  # of the function that it runs


class ThreadLives:
    """Bounded; any thread may add, the exporter reads."""

    def __init__(self) -> None:
        self._living: dict[int, ThreadLife] = {}
        self._ended: deque[ThreadLife] = deque(maxlen=_MOST_ENDED)

    def add(self, life: ThreadLife) -> None:
        """Add a thread that begins. Its id may have been another's."""
        before = self._living.pop(life.thread_id, None)
        if before is not None:
            self._ended.append(before)
        elif len(self._living) >= _MOST_LIVING:
            self._living.pop(next(iter(self._living)), None)
        self._living[life.thread_id] = life

    def settle(self, alive: Collection[int]) -> None:
        """Mark threads without one of these ids as ended."""
        for thread_id, life in list(self._living.items()):
            if thread_id not in alive and self._living.get(thread_id) is life:
                del self._living[thread_id]
                self._ended.append(life)

    def __iter__(self) -> Iterator[ThreadLife]:
        """Return ended threads, then live ones; those with one id in order of time."""
        yield from self._ended.copy()
        yield from list(self._living.values())
