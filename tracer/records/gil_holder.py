"""A sample of a thread's stack."""

from typing import NamedTuple

from whywait.tracer.host.code_location import Place


class HolderSeen(NamedTuple):
    """A sample of a thread that held the GIL while others waited for it, or that has worked for long."""

    at_ns: int
    thread_id: int
    thread_name: str
    place: Place | None
