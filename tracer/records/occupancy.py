"""The occupants of a pool's workers, or of a device, and when."""

from collections import deque
from collections.abc import Callable
from types import CodeType
from typing import NamedTuple

from whywait.tracer.host.code_location import Place, place_of_code


class Occupancy:
    """One job's time on a worker, or one's time with a connection. It outlives the job's record, to name the
    pool's occupants."""

    __slots__ = ("code", "end_ns", "looked_ns", "name", "place", "span_id", "start_ns", "thread_id", "trace_id")

    def __init__(self, name: str, trace_id: int, span_id: int, code: CodeType | None) -> None:
        self.name = name
        self.code = code
        self.place: Place | None = None  # of a connection: where it was held for most of the time
        self.thread_id = 0  # native
        self.trace_id = trace_id
        self.span_id = span_id
        self.start_ns = 0
        self.looked_ns = 0  # when its stack was last read
        self.end_ns = 0

    @property
    def told_place(self) -> Place | None:
        """Where it was held; of work of no request, its function: no span tells where that stands."""
        return self.place or (place_of_code(self.code) if self.code is not None and not self.trace_id else None)


class Watched(Occupancy):
    """A thread of no pool, since it ended a wait or began."""

    __slots__ = ("marks",)

    def __init__(self, thread_id: int, marks: tuple[tuple[int, int], ...]) -> None:
        super().__init__("", 0, 0, None)
        self.thread_id, self.start_ns = thread_id, marks[-1][0]
        self.marks = marks  # when that was, and before, with its CPU time then


class DeviceLine:
    """A device that threads compete for."""

    __slots__ = ("name", "occupancies")

    def __init__(self, name: str) -> None:
        self.name = name
        self.occupancies: deque[Occupancy] = deque(maxlen=8_192)


class DeviceCall(NamedTuple):
    """A call in which a thread waited for a device."""

    line: DeviceLine
    held: Occupancy
    worked_ns: "Callable[[], int | None] | None"  # called later: the device's own working time
