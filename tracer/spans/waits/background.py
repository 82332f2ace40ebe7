"""Cuts a wait that a task of no request ended into the waits of that task: the wait's reasons are there. One that a thread
ended is cut where that ended others' waits: till then it worked for them. Pure.

request   |~~~~~~~~~~~~~~~~ future ~~~~~~~~~~~~~~~~~~~~|  ended by batcher
batcher  ..~~~ wait_for(queue.get()) ~~|--|~~ job ~~|--|
parts     |~~~~~~~~~ a timer ~~~~~~~~~~|  |~~ job ~~|     each followed by what the loop did till the next
"""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final, NamedTuple

from whywait.tracer.host.code_location import Site, is_library, module_of, place_of_code
from whywait.tracer.records.background import BackgroundJob, BackgroundTask, BackgroundWait, OtherThread
from whywait.tracer.records.loop import Loop
from whywait.tracer.records.request import ARRIVAL, Activity, Request, Wait, Waker
from whywait.tracer.schema import FOR_HELD, OF_THREAD, WAIT_AWAIT
from whywait.tracer.spans.past import Past, overlapping

_DEEPEST: Final = 8  # tasks that wait for one another
_MOST: Final = 200  # parts of one wait
_TURN_NS: Final = 1_000_000  # a thread that ends several waits in less ends them together
_held: Final = re.compile(FOR_HELD).match


class Part(NamedTuple):
    """A wait, and the loop on which it was made; of a task of no request, which, and in how many such parts."""

    wait: Wait
    loop: Loop | None
    task: str = ""
    turns: int = 0


def followed(wait: Wait, loop: Loop | None, past: Past, mine: Request, depth: int = 0) -> list[Part]:
    """Return the wait as one or more waits without gaps, each with what ended it, and with its loop."""
    by = wait.by
    if isinstance(by, BackgroundJob):
        return [Part(wait._replace(site=_site_of(by, wait.site)), loop)]
    if isinstance(by, OtherThread) and wait.kind == WAIT_AWAIT and not depth:
        return _turns_of(by, wait, loop)
    if not isinstance(by, BackgroundTask) or wait.kind != WAIT_AWAIT or depth > _DEEPEST:
        return [Part(wait, loop)]
    if not depth and wait.site is not None and _is_held(wait.site):  # it had what is waited for: a turn, not its work
        return [Part(wait, loop)]
    own = list(overlapping(past.background.get(id(by), ()), wait.start_ns, wait.cause_ns))
    if not own or len(own) > _MOST:
        return [Part(wait, loop)]
    parts = [part for one in _waits_of(own, wait, mine) for part in followed(one, by.loop, past, mine, depth + 1)]
    name = by.code.co_qualname if by.code is not None else ""
    at = Counter(part.wait.site for part in parts if part.wait.by is not ARRIVAL)
    parts = [part._replace(task=part.task or name, turns=max(part.turns, at[part.wait.site])) for part in parts]
    last = parts[-1]
    if by.loop is loop and not wait.thread:
        return [*parts[:-1], last._replace(wait=last.wait._replace(end_ns=wait.end_ns), loop=loop)]
    return [*parts, Part(wait._replace(start_ns=wait.cause_ns), loop)]


def _turns_of(by: OtherThread, wait: Wait, loop: Loop | None) -> list[Part]:
    """The wait, cut where the thread ended those of others before it."""
    cuts = [wait.start_ns]
    for at, _ in by.marks[1:]:  # the first may be the start of the thread
        if cuts[-1] + _TURN_NS <= at <= wait.cause_ns - _TURN_NS:
            cuts.append(at)
    task = f"{OF_THREAD}{by.thread_name}" if len(cuts) > 1 else ""
    parts = []
    for start_ns, end_ns in pairwise([*cuts, wait.cause_ns]):
        till = by._replace(marks=tuple(mark for mark in by.marks if mark[0] <= end_ns))
        parts.append(wait._replace(start_ns=start_ns, cause_ns=end_ns, end_ns=end_ns, by=till))
    parts[-1] = parts[-1]._replace(by=by, end_ns=wait.end_ns)
    return [Part(one, loop, task, len(parts)) for one in parts]


def _waits_of(own: Sequence[BackgroundWait], wait: Wait, mine: Request) -> list[Wait]:
    """The task's waits while the request waited for it, each until the next begins."""
    begins = [max(one.start_ns, wait.start_ns) for one in own]
    found = []
    if begins[0] > wait.start_ns:  # it ran first
        found.append(_part(wait, own[0].task, wait.site, wait.start_ns, wait.start_ns, begins[0]))
    for one, start_ns, until_ns in zip(own, begins, [*begins[1:], wait.cause_ns], strict=True):
        cause_ns = min(max(one.cause_ns, start_ns), until_ns)
        found.append(_part(wait, _ended_by(one, mine), _seen_from(one.site, wait.site), start_ns, cause_ns, until_ns))
    return found


def _part(wait: Wait, by: Waker, site: Site | None, start_ns: int, cause_ns: int, end_ns: int) -> Wait:
    return wait._replace(by=by, site=site, start_ns=start_ns, cause_ns=cause_ns, end_ns=end_ns, thread=False)


def _ended_by(one: BackgroundWait, mine: Request) -> Waker:
    """Who ended the task's wait. What another request brought it is no reason to wait, unless that had held a lock."""
    by: Waker = one.by
    if not isinstance(by, Activity) or by.request is mine:
        return by
    site = one.site
    return by if site is not None and _is_held(site) else ARRIVAL


def _is_held(site: Site) -> bool:
    return _held(f"{site.leaf_module}.{site.leaf_function}") is not None


def _seen_from(site: Site | None, outer: Site | None) -> Site | None:
    """The task's place; that of the one that waits for it where the task runs no function of the user."""
    if site is None or outer is None or not is_library(site.user.file):
        return site or outer
    return site._replace(user=outer.user, call=outer.call, package=outer.package)


def _site_of(job: BackgroundJob, outer: Site | None) -> Site | None:
    if job.code is None:
        return outer
    place = place_of_code(job.code)
    return Site(place, place.function, module_of(place.file))
