"""A second opinion: the attribution written down as slowly and plainly as possible, apart from the real one.

It steps back one unit at a time from the end of a request and asks of each unit who had it. Nothing
is shared with `analysis` but the span contract.
"""

from dataclasses import dataclass, field

import pandas as pd

from whywait.tracer import schema

MOVES = 64


@dataclass
class Life:
    """An activity: its life, and its waits in order."""

    key: tuple[str, str]
    start: int
    end: int
    spawner: tuple[str, str] | None = None
    waits: list["Wait"] = field(default_factory=list)


@dataclass
class Wait:
    start: int
    end: int
    name: str
    waker: tuple[str, str] | None
    turn: int | None = None  # when a step of the waker began that ran on the loop, and ended with the wait


def lives(spans: pd.DataFrame) -> dict[tuple[str, str], Life]:
    """Return all activities by (trace id, span id)."""
    rows = list(spans.itertuples())
    found: dict[tuple[str, str], Life] = {}
    owner: dict[tuple[str, str], tuple[str, str]] = {}
    for row in rows:
        key = (row.trace_id, row.span_id)
        if row.attributes.get(schema.KIND) in ("task", "job"):
            found[key] = Life(key, row.start_ns, row.end_ns)
            owner[key] = key
        elif row.attributes.get(schema.KIND):
            owner[key] = (row.trace_id, row.attributes.get(schema.ACTIVITY, ""))
    for row in rows:
        kind, key = row.attributes.get(schema.KIND), (row.trace_id, row.span_id)
        if kind in ("task", "job"):
            spawner = owner.get((row.trace_id, row.attributes.get(schema.SPAWNED_BY, "")))
            elsewhere = row.attributes.get(schema.SPAWNED_BY_TRACE, row.trace_id)
            if spawner in found and spawner != key and elsewhere == row.trace_id:
                found[key].spawner = spawner
        if kind == "job":
            ends = [r.end_ns for r in rows if r.attributes.get(schema.KIND) == "run"
                    and owner.get((r.trace_id, r.span_id)) == key]  # fmt: skip
            if ends and max(ends) >= row.start_ns:
                found[key].end = max(ends)
    taken: dict[tuple[str, str], int] = {}
    in_order = sorted(
        (row for row in rows if row.attributes.get(schema.KIND) == "wait"),
        key=lambda row: (_clip(row, found, owner)[0], -_clip(row, found, owner)[1]),
    )
    for row in in_order:
        mine = owner[(row.trace_id, row.span_id)]
        if mine not in found:
            continue
        start, end = _clip(row, found, owner)
        start = max(start, taken.get(mine, start))
        if start >= end:
            continue
        taken[mine] = end
        waker = None
        if row.attributes[schema.WAIT] == "await" and row.attributes.get(schema.WAKER_SPAN_ID):
            trace = row.attributes.get(schema.WAKER_TRACE_ID, row.trace_id)
            waker = owner.get((trace, row.attributes[schema.WAKER_SPAN_ID]))
            waker = waker if waker in found and waker != mine else None
        ahead = _ahead(row, rows, owner) if row.attributes[schema.WAIT] == "loop_busy" else None
        ahead, begun = ahead if ahead is not None else (None, None)
        ahead = ahead if ahead in found and ahead != mine else None
        found[mine].waits.append(Wait(start, end, row.name, waker or ahead, begun if ahead else None))
    return found


def _ahead(row, rows, owner):  # type: ignore[no-untyped-def]
    """Whose step took most of a wait for the loop, and ended with it."""
    if row.attributes.get(schema.BLOCKER_NS, -1) < 0.8 * (row.end_ns - row.start_ns):
        return None
    blocker = owner.get((row.trace_id, row.attributes.get(schema.BLOCKER_SPAN_ID, "")))
    steps = [one for one in rows if one.attributes.get(schema.KIND) == "block" and one.end_ns == row.end_ns]
    own = [one.start_ns for one in steps if owner.get((one.trace_id, one.span_id)) == blocker]
    return (blocker, own[-1]) if own else None


def _clip(row, found, owner):  # type: ignore[no-untyped-def]
    life = found.get(owner[(row.trace_id, row.span_id)])
    if life is None:
        return row.start_ns, row.end_ns
    return tuple(min(max(time, life.start), life.end) for time in (row.start_ns, row.end_ns))


def owners(found: dict[tuple[str, str], Life], root: tuple[str, str], first: int, last: int, unit: int) -> list[str]:
    """Return for each unit of [first, last), from the last backwards: "activity", "activity:wait" or "outside".

    All times must be multiples of the unit.
    """
    told: list[str] = []
    at, time, moves = root, last, 0
    cap: tuple[tuple[str, str], int] | None = None
    while time > first:
        life = found[at]
        if at == root and time > life.end and cap is None:
            told.append("outside")
            time, moves = time - unit, 0
            continue
        if cap is not None and time <= cap[1]:
            at, cap = cap[0], None
            continue
        if time <= life.start:
            if time <= found[root].start:
                told.append("outside")
                at, cap, time, moves = root, None, time - unit, 0
                continue
            parent = found.get(life.spawner) if life.spawner else None
            if parent is not None and parent.start < time <= parent.end:
                at = parent.key
            else:
                at, cap = (cap[0] if cap else root), None
            moves += 1
            continue
        wait = next((w for w in life.waits if w.start < time <= w.end), None)
        waker = found[wait.waker] if wait is not None and wait.waker else None
        if wait is not None and wait.turn is not None and (time <= wait.turn or cap is not None):
            waker = None
        if wait is not None and waker is not None and waker.start < time and moves < MOVES:
            if waker.end >= time:
                assert wait is not None
                if cap is None and (waker.key[0] != at[0] or waker.spawner is None or wait.turn is not None):
                    cap = (at, max(wait.start, wait.turn or 0))
                at, moves = waker.key, moves + 1
                continue
        elif wait is not None and waker is not None and waker.start < time:
            # a circle: the whole wait is the waiter's own
            floor = max(wait.start, first, cap[1] if cap else first)
            while time > floor:
                told.append(f"{at[1]}:{wait.name}")
                time -= unit
            moves = 0
            continue
        told.append(at[1] if wait is None else f"{at[1]}:{wait.name}")
        time, moves = time - unit, 0
    return told
