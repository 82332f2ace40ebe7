"""Who woke whom, over many shapes of program: precision and recall of the recorded edges."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from tests.tracer.conftest import Span, Traced, traced_to
from tests.truth.graph import outside, pools, primitives, shape, tasks, with_anyio
from tests.truth.graph.shape import IO, ROOT, SHAPES, SHORTEST_MS, THREAD, Edge, Shape
from whywait import phase

__all__ = ["traced_to"]
MODULES = (outside, primitives, tasks, with_anyio)
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
ENOUGH = 0.99


@pytest.fixture(scope="module", autouse=True)
def process_pool() -> Iterator[None]:
    pools.warm_processes()
    yield
    pools.close()


@pytest.mark.parametrize("loop", LOOPS)
def test_recorded_edges_are_the_known_ones(traced_to: Callable[..., Traced], loop: str) -> None:
    shapes = [one for one in SHAPES.values() if loop in one.loops]
    spans = traced_to()
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        for one in shapes:
            runner.run(under_a_root(one))
    spans.stop()
    found, known, right, misses = 0, 0, 0, []
    for one in shapes:
        recorded = recorded_edges(spans, one.name)
        expected = Counter(told(edge, loop) for edge in one.edges)
        for edge in one.tolerated:
            recorded[edge] = min(recorded[edge], expected[edge])
        recorded = +recorded
        found += recorded.total()
        known += expected.total()
        right += (recorded & expected).total()
        if recorded != expected:
            missing, extra = dict(expected - recorded), dict(recorded - expected)
            misses.append(f"{one.name}: missing {missing}, not expected {extra}")
    said = f"{loop}: {len(shapes)} shapes, {known} edges, {found} found, {right} right\n" + "\n".join(misses)
    print(said, file=sys.stderr)
    assert right / found >= ENOUGH, f"precision: {said}"
    assert right / known >= ENOUGH, f"recall: {said}"


def test_there_are_enough_shapes() -> None:
    assert len(SHAPES) >= 36
    assert {one.program.__module__ for one in SHAPES.values()} == {module.__name__ for module in MODULES}


async def under_a_root(one: Shape) -> None:
    with phase(one.name):
        await one.program()


def told(edge: Edge, loop: str) -> Edge:
    """The edge as this loop sees it: who hears of the end of a child."""
    if edge.waker != outside.CHILD:
        return edge
    by_thread = loop == "asyncio" and sys.version_info < (3, 12)
    return Edge(edge.waiter, THREAD if by_thread else IO)


def recorded_edges(spans: Traced, root_phase: str) -> Counter[Edge]:
    """The edges of one shape's trace: every wait of at least 2 ms that somebody was to end."""
    trace_id = spans.one(root_phase).trace_id
    own = [span for span in spans.spans if span.trace_id == trace_id]
    names = {span.span_id: name_of(span) for span in own if span["kind"] in ("task", "job")}
    waits = [span for span in own if span["wait"] in ("await", "limiter_wait") and span.ms >= SHORTEST_MS]
    # a step that blocks the loop's thread, to start or join another, awaits nothing
    waits = [span for span in waits if not (span.name.startswith("blocked") and names[span["activity"]] == ROOT)]
    return Counter(Edge(names[span["activity"]], waker_of(span, names)) for span in waits)


def name_of(activity: Span) -> str:
    if activity["root"]:
        return ROOT
    return activity.name.split(" ", 1)[1].rsplit(".", 1)[-1]


def waker_of(wait: Span, names: dict[str, Any]) -> str:
    kind = wait["waker"]
    if kind == "activity":
        return str(names[wait["waker.span_id"]])
    name = wait["waker.name"] if f"<{kind}>" != THREAD else ""  # threads' names are numbered
    return f"<{kind}: {name}>" if name else f"<{kind}>"


assert shape.STEP_S * 1000 > 5 * SHORTEST_MS
