"""Divides each request's time into stretches without overlap, and finds silences and phases. Pure.

START    BEFORE_DF      AFTER_DF    AFTER_TARGET          END
  |----------|--------------|-------------|----------------|
   START → BEFORE_DF   DF     TARGET (since AFTER_DF)   TARGET → END
   between             named  since                     between
"""

import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import accumulate, count, islice, pairwise
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

from whywait.analysis.logs.model import BETWEEN, NAMED, SINCE, LoggedRequest, Phase, Sighting, Silence, Stretch
from whywait.analysis.model import Finding
from whywait.secret_text import masked

MOST_SILENCES: Final = 5
_READING_NS: Final = 50_000
_QUARTER_HOUR_NS: Final = 900 * 10**9
_BEGINS: Final = "before|begin|start|enter"
_ENDS: Final = "after|end|finish|finished|exit|leave|done"
_EDGES: Final = tuple(  # a marker that begins a phase, or ends it: the word comes first, or last
    (re.compile(rf"(?i)^{form}$"), begins)
    for form, begins in (
        (rf"(?:{_BEGINS}|starting)[_ .:-]+(?P<label>.+)", True), (rf"(?P<label>.+?)[_ .:-]+(?:{_BEGINS}|started)", True),
        (rf"(?:{_ENDS})[_ .:-]+(?P<label>.+)", False), (rf"(?P<label>.+?)[_ .:-]+(?:{_ENDS})", False),
    )
)  # fmt: skip
_FIRST_WORDS: Final = frozenset({"start", "begin", "received", "request_start", "request_received"})
_LAST_WORDS: Final = frozenset({"end", "done", "finish", "finished", "request_end", "request_done"})


class Edge(NamedTuple):
    """The meaning of a marker's name: the phase that begins or ends with it."""

    label: str
    begins: bool = False
    ends: bool = False


@lru_cache(maxsize=4096)
def edge(marker: str) -> Edge:
    """Return the phase that a marker's name begins or ends (BEFORE_X, X_done, ...); else a point."""
    for pattern, begins in _EDGES:
        found = pattern.match(marker)
        if found is not None:
            return Edge(found["label"], begins, not begins)
    return Edge(marker)


def requests_of(
    sightings: Iterable[Sighting], only: frozenset[str] = frozenset()
) -> tuple[list[LoggedRequest], list[Finding]]:
    """Return the requests as they began, and findings. `only` keeps these markers; others become plain lines. A
    request needs two markers, or a total."""
    odd: Counter[str] = Counter()
    groups = _grouped(sightings, odd)
    if only:
        groups = [(name, _only(own, only)) for name, own in groups]
    found = list(filter(None, (_request(name, own, odd) for name, own in groups)))
    found = sorted(_with_others(found), key=lambda one: (one.start_ns, one.request))
    return found, [Finding(code, _ODD[code], count) for code, count in sorted(odd.items()) if count]


_ODD: Final = {
    "no-marker-pair": "requests have fewer than two markers and no total: no time is known for them",
    "backwards": "lines have an earlier time than the line before them: they were sorted by time",
    "delta-differs": "lines state a delta that differs from their clock: the clock was used",
    "unended": "phases began and have no logged end: their time is between two markers",
    "overlapping": "phases overlap without nesting (several threads?): the time belongs to the phase that began last",
    "again": "requests start again under an id that was used before: a number distinguishes them",
}  # fmt: skip


def _grouped(sightings: Iterable[Sighting], odd: "Counter[str]") -> list[tuple[str, list[Sighting]]]:
    """Each request's own lines; an id that starts anew after its end is another request."""
    current: dict[str, list[Sighting]] = {}
    times: Counter[str] = Counter()
    groups: list[tuple[str, list[Sighting]]] = []
    ended: set[str] = set()
    for one in sightings:
        word = one.marker.lower()
        if one.request not in current or (one.request in ended and word in _FIRST_WORDS):
            odd["again"] += one.request in times
            times[one.request] += 1
            name = one.request if times[one.request] == 1 else f"{one.request} ({times[one.request]})"
            current[one.request] = []
            groups.append((name, current[one.request]))
            ended.discard(one.request)
        current[one.request].append(one)
        if word in _LAST_WORDS:
            ended.add(one.request)
    return groups


def _only(own: list[Sighting], only: frozenset[str]) -> list[Sighting]:
    # a delta is of the marker before, which may be one of those left out
    return [replace(one, marker=one.marker if one.marker in only else "", delta=None) for one in own]


def _request(name: str, own: list[Sighting], odd: "Counter[str]") -> LoggedRequest | None:
    own = _aligned(own)
    odd["backwards"] += sum(map(_is_before, own[1:], own))
    own = sorted(own, key=lambda one: (one.time_ns, one.line))
    marked = [one for one in own if one.marker]
    stated = max((one.total for one in own if one.total), key=itemgetter(0), default=())
    if len(marked) < 2 and not stated:
        odd["no-marker-pair"] += 1
        return None
    marked = marked or own[:1]
    stretches, phases = _tiles(marked, odd)
    odd["delta-differs"] += sum(map(_has_another_delta, marked[1:], marked))
    return LoggedRequest(
        name, marked[0].time_ns, marked[-1].time_ns, stretches, _silences(own, stretches), phases, len(own),
        max(map(attrgetter("step_ns"), marked)), *stated,
    )  # fmt: skip


def _is_before(one: Sighting, other: Sighting) -> bool:
    return one.time_ns < other.time_ns - max(one.step_ns, other.step_ns)


def _has_another_delta(one: Sighting, before: Sighting) -> bool:
    if one.delta is None:
        return False
    clocked, (delta_ns, step_ns) = one.time_ns - before.time_ns, one.delta
    # the timer and the clock are read one after the other, and each is rounded
    return abs(clocked - delta_ns) > step_ns + before.step_ns + one.step_ns + _READING_NS + clocked // 100


def _aligned(own: list[Sighting]) -> list[Sighting]:
    """Plain lines have only the time of their prefix, which may be in another zone than the markers'."""
    fine, plain = [one for one in own if one.marker], min(own, key=lambda one: bool(one.marker))
    if not fine or plain.marker:
        return own
    nearest = min(fine, key=lambda one: abs(one.line - plain.line))
    shift_ns = round((plain.time_ns - nearest.time_ns) / _QUARTER_HOUR_NS) * _QUARTER_HOUR_NS
    lines = list(map(attrgetter("line"), fine))
    latest = list(accumulate((one.time_ns for one in fine), max))
    return [one if one.marker else _moved(one, shift_ns, lines, latest) for one in own]


def _moved(one: Sighting, shift_ns: int, lines: list[int], latest: list[int]) -> Sighting:
    """A prefix is cut to its last digit: a line after a marker is not before it, and none is after the last one."""
    time_ns = one.time_ns - shift_ns
    at = bisect_left(lines, one.line)
    for bound, sign in ((latest[at - 1] if at else time_ns, 1), (latest[-1], -1)):
        if 0 < (bound - time_ns) * sign < one.step_ns:
            time_ns = bound
    return replace(one, time_ns=time_ns)


def _tiles(marked: Sequence[Sighting], odd: "Counter[str]") -> tuple[tuple[Stretch, ...], tuple[Phase, ...]]:
    edges = [edge(one.marker) for one in marked]
    partner = _partners(edges, odd)
    phases = tuple(
        Phase(marked[first].time_ns, marked[last].time_ns, edges[last].label) for last, first in sorted(partner.items())
    )
    tiles: list[Stretch] = []
    inside = _innermost({first: last for last, first in partner.items()})
    for at, (begin, end) in enumerate(pairwise(marked)):
        label, kind = f"{begin.marker} → {end.marker}", BETWEEN
        if (phase := next(inside)) is not None:
            label, kind = edges[phase].label, NAMED
        elif edges[at + 1].ends and at + 1 not in partner:
            label, kind = edges[at + 1].label, SINCE
        tiles.append(Stretch(begin.time_ns, end.time_ns, label, kind))
    return tuple(tiles), phases


def _innermost(last_of: Mapping[int, int]) -> Iterator[int | None]:
    """Yield after each marker which one began the phase that is open then, None outside any."""
    nested: list[int] = []
    for at in count():
        if at in last_of:
            nested.append(at)
        while nested and last_of[nested[-1]] <= at:
            nested.pop()  # a phase that ended below the top is removed when it gets there
        yield nested[-1] if nested else None


def _partners(edges: Sequence[Edge], odd: "Counter[str]") -> dict[int, int]:
    """For each marker that ends a phase, the marker that began it, where there is one."""
    waiting: dict[str, list[int]] = {}
    partner: dict[int, int] = {}
    for at, one in enumerate(edges):
        if one.begins:
            waiting.setdefault(one.label.lower(), []).append(at)
        elif one.ends and waiting.get(one.label.lower()):
            partner[at] = waiting[one.label.lower()].pop()
    odd["unended"] += sum(len(left) for left in waiting.values())
    odd["overlapping"] += _overlapping(partner)
    return partner


def _overlapping(partner: Mapping[int, int]) -> int:
    """How many phases end while one that began later goes on."""
    # the phase that is open just before its end is another
    inside = list(islice(_innermost({first: last for last, first in partner.items()}), max(partner, default=0)))
    return sum(inside[last - 1] != first for last, first in partner.items())


def _silences(own: Sequence[Sighting], stretches: Sequence[Stretch]) -> tuple[Silence, ...]:
    pairs = sorted(pairwise(own), key=lambda pair: pair[0].time_ns - pair[1].time_ns)[:MOST_SILENCES]
    return tuple(
        Silence(
            before.time_ns, after.time_ns, masked(before.text), masked(after.text), before.line, after.line,
            next((one.label for one in stretches if one.start_ns <= before.time_ns < one.end_ns), ""),
        )
        for before, after in pairs
        if after.time_ns > before.time_ns
    )  # fmt: skip


def _with_others(requests: list[LoggedRequest]) -> list[LoggedRequest]:
    """The requests with the number of others that were open during each, in any order."""
    starts = sorted(one.start_ns for one in requests)
    ends = sorted(one.end_ns for one in requests)
    return [
        replace(one, others=bisect_left(starts, one.end_ns) - bisect_right(ends, one.start_ns) - 1)
        if one.end_ns > one.start_ns
        else one
        for one in requests
    ]
