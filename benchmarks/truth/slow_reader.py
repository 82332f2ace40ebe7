"""How long the server waited for the client to take what was written: all of it is in uvicorn's one `drain`."""

from time import perf_counter_ns

from uvicorn.protocols.http.flow_control import FlowControl

from benchmarks.truth.context import WAITED_FOR_CLIENT_NS, answer

_drain = FlowControl.drain


async def _timed_drain(self: FlowControl) -> None:
    began_ns = perf_counter_ns()
    await _drain(self)
    mine = answer.get()
    mine[WAITED_FOR_CLIENT_NS] = mine.get(WAITED_FOR_CLIENT_NS, 0) + perf_counter_ns() - began_ns


def watch_drains() -> None:
    """From now on each request's waits for its client are noted. Called once by the service."""
    FlowControl.drain = _timed_drain  # type: ignore[method-assign]
