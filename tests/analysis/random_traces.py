"""Random spans that keep to the contract's words and to nothing else."""

from typing import Any

import pandas as pd
from hypothesis import strategies as st

from tests.analysis.drawing import BEGIN_NS, SIGNALS, trace_id
from whywait.analysis.load.otlp import frame_of
from whywait.tracer import schema

LAST = 30


@st.composite
def interval(draw: st.DrawFn, *, longest: int = LAST) -> tuple[int, int]:
    start = draw(st.integers(0, LAST))
    return start, min(LAST, start + draw(st.integers(0, longest)))


@st.composite
def traces(draw: st.DrawFn, *, measured: bool = False) -> pd.DataFrame:
    """Spans of one to three requests in two traces, with overlaps, orphans, circles and empty spans."""
    rows: list[tuple[Any, ...]] = []
    identity = iter(range(1, 10_000))
    ids: list[tuple[str, str]] = []  # activities: trace, span id

    def add(trace: str, name: str, kind: str, parent: str, times: tuple[int, int], attributes: dict[str, Any]) -> str:
        span_id = f"{next(identity):016x}"
        amounts = {}
        if measured and kind != "server" and draw(st.booleans()):
            amounts = {schema.CPU_NS: draw(st.integers(0, 40)), schema.RUN_QUEUE_NS: draw(st.integers(0, 9))}
        rows.append(
            (
                trace_id(trace), span_id, parent, name, "shop", "whywait" if kind != "server" else "",
                "server" if kind == "server" else "internal", BEGIN_NS + times[0], BEGIN_NS + times[1], False,
                ({schema.KIND: kind} if kind != "server" else {}) | amounts | attributes, [],
            )
        )  # fmt: skip
        return span_id

    for _ in range(draw(st.integers(1, 3))):
        trace = draw(st.sampled_from("aab"))
        times = draw(interval())
        server = add(trace, "GET", "server", "", times, {})
        root: dict[str, Any] = {schema.ROOT: True, schema.CONTRACT: 1, schema.SIGNALS: SIGNALS}
        if draw(st.booleans()):
            root[schema.INGRESS_FROM] = draw(st.sampled_from(["proxy", "kernel", "read"]))
        ids.append((trace, add(trace, "root", "task", server, draw(st.one_of(st.just(times), interval())), root)))
    for _ in range(draw(st.integers(0, 5))):
        trace = draw(st.sampled_from("aab"))
        spawner = draw(st.sampled_from(["", "dead", *(span for _, span in ids)]))
        kind = draw(st.sampled_from(["task", "task", "job"]))
        small = {f"{schema.SMALL_PREFIX}loop_busy_ns": draw(st.integers(0, 9))} if measured else {}
        ids.append((trace, add(trace, "work", kind, spawner, draw(interval()), {schema.SPAWNED_BY: spawner} | small)))
    for number in range(draw(st.integers(0, 12))):
        trace, activity = draw(st.sampled_from(ids))
        attributes: dict[str, Any] = {schema.ACTIVITY: activity, schema.WAIT: draw(st.sampled_from(
            ["await", "await", "await", "loop_busy", "pool_queue", "ingress_wait"]))}  # fmt: skip
        waker_trace, waker = draw(st.sampled_from([*ids, ("a", "dead"), ("a", "")]))
        attributes |= {schema.WAKER_SPAN_ID: waker, schema.WAKER_TRACE_ID: trace_id(waker_trace)}
        times = draw(interval(longest=12))
        if attributes[schema.WAIT] == "loop_busy" and draw(st.booleans()):
            of, blocker = draw(st.sampled_from(ids))
            attributes |= {schema.BLOCKER_SPAN_ID: blocker, schema.BLOCKER_NS: draw(st.integers(0, 12))}
            ended = times[1] - draw(st.integers(0, 1))
            add(of, f"step{number}", "block", blocker, (min(times[0], ended), ended), {schema.ACTIVITY: blocker})
        add(trace, f"w{number}", "wait", activity, times, attributes)
    if measured:
        for number in range(draw(st.integers(0, 6))):
            trace, activity = draw(st.sampled_from([*ids, ("a", "dead")]))
            kind = draw(st.sampled_from(["phase", "block", "run"]))
            add(trace, f"{kind}{number}", kind, activity, draw(interval()), {schema.ACTIVITY: activity})
    return frame_of(draw(st.permutations(rows)))
