"""Places slices on tracks, so that on each track they nest or are disjoint, as the viewer requires. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import inf


@dataclass(frozen=True, slots=True)
class Slice:
    """A slice on a track. Slices of one name have one colour, so waits are named after their cause."""

    start_ns: int
    end_ns: int
    name: str
    category: str
    key: tuple[str, str] = ("", "")  # trace id and span id that arrows know it by
    args: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Track:
    """A track of slices, in a group."""

    group: int
    number: int
    name: str
    slices: tuple[Slice, ...]  # sorted by start, the longer first


@dataclass(frozen=True, slots=True)
class Group:
    """Tracks under one heading."""

    number: int
    name: str
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True)
class Arrow:
    """From a moment in one slice to a moment in another."""

    name: str
    from_track: tuple[int, int]  # group and number
    from_ns: int
    to_track: tuple[int, int]
    to_ns: int


def lanes(slices: Iterable[Slice]) -> list[tuple[Slice, ...]]:
    """Return the slices on lanes, each on the first on which it nests or is disjoint. Times are not changed; empty
    slices are left out."""
    placed: list[list[Slice]] = []
    open_until: list[list[float]] = []  # per lane: ends of the slices that are open, innermost last
    for one in sorted(slices, key=lambda item: (item.start_ns, -item.end_ns, item.name)):
        if one.end_ns <= one.start_ns:
            continue
        for lane, ends in zip(placed, open_until, strict=True):
            while ends[-1] <= one.start_ns:
                ends.pop()
            if one.end_ns <= ends[-1]:
                lane.append(one)
                ends.append(one.end_ns)
                break
        else:
            placed.append([one])
            open_until.append([inf, one.end_ns])
    return [tuple(lane) for lane in placed]


def numbered(group: int, name: str, named: Iterable[tuple[str, Iterable[Slice]]]) -> Group:
    """Return a group with a track for each name, and further ones where its slices cross one another."""
    tracks: list[Track] = []
    for title, slices in named:
        for at, lane in enumerate(lanes(slices)):
            again = title if at == 0 else f"{title} ({at + 1})"
            tracks.append(Track(group, len(tracks) + 1, again, lane))
    return Group(group, name, tuple(tracks))
