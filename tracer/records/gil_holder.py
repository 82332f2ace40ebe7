"""A sample of a thread's stack."""

from collections.abc import Callable, Hashable, Iterable
from operator import itemgetter
from typing import NamedTuple, TypeVar

from whywait.tracer.host.code_location import Place

T = TypeVar("T")
N = TypeVar("N", int, float)


class HolderSeen(NamedTuple):
    """A sample of a thread that held the GIL while others waited for it, or that has worked for long."""

    at_ns: int
    thread_id: int
    thread_name: str
    place: Place | None
    waits: bool = False  # inside a call that a probe of ours watches: what it ran before is not seen
    call: tuple[str, str] = ("", "")  # the library's function that the user's code called, and its package


def summed(ranked: Iterable[tuple[T, N]], key_of: Callable[[T], Hashable]) -> list[tuple[T, N]]:
    """Add up the samples, or shares, of what has one key, under the first of them. Returns the highest sum first."""
    found: dict[Hashable, tuple[T, N]] = {}
    for one, times in ranked:
        first, so_far = found.get(key_of(one), (one, 0))
        found[key_of(one)] = first, so_far + times
    return sorted(found.values(), key=itemgetter(1), reverse=True)
