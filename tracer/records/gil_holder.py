"""A sample of the thread that held the GIL."""

from typing import NamedTuple

from whywait.tracer.host.code_location import Place


class HolderSeen(NamedTuple):
    """A sample of a thread that held the GIL while others waited for it."""

    at_ns: int
    thread_id: int
    thread_name: str
    place: Place | None
