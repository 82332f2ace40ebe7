"""Two coroutines under `gather`, one of them off the critical path: our version of jaeger-ui issue 2371.

A path guessed from timing alone hops to whichever step ended last before the one it stands in, and so
charges the coroutine that nobody waited for. Recorded edges do not.

    request  |--gather-----------------------------------|
      on     |--step--||--step--||--step--||--step--||...|
      off    |-step-||-step-||-step-|
"""

import asyncio
import time
from collections.abc import Callable

import pandas as pd
import pytest
import uvloop

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, phase, traced

__all__ = ["traced_to"]
STEPS, STEP_S = 5, 0.02

took_ms: list[float] = []  # on the path, in truth: a timer of uvloop, which counts whole milliseconds, may be early


@traced
async def step(seconds: float) -> None:
    await asyncio.sleep(seconds)


async def on_the_path() -> None:
    began_ns = time.perf_counter_ns()
    for _ in range(STEPS):
        await step(STEP_S)
    took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)


async def off_the_path() -> None:
    for _ in range(STEPS - 2):
        await step(STEP_S * 0.9)


async def of_tasks() -> None:
    await asyncio.gather(on_the_path(), off_the_path())


async def of_jobs() -> None:
    """The same with a job below each coroutine's step."""

    async def stepping(steps: int, seconds: float) -> None:
        for _ in range(steps):
            await asyncio.to_thread(blocking_step, seconds)

    async def on_the_path() -> None:
        began_ns = time.perf_counter_ns()
        await stepping(STEPS, STEP_S)
        took_ms.append((time.perf_counter_ns() - began_ns) / 1e6)

    async def off_the_path() -> None:
        await stepping(STEPS - 2, STEP_S * 0.9)

    await asyncio.gather(on_the_path(), off_the_path())


def blocking_step(seconds: float) -> None:
    time.sleep(seconds)


def under(causes: pd.DataFrame, spans: pd.DataFrame, task: str) -> float:
    """Milliseconds of the path that are a task's, or a job's that it made."""
    (task_id,) = spans.loc[spans["name"].str.match(f"task .*{task}$"), "span_id"]
    made_by = spans["attributes"].map(lambda attributes: attributes.get("whywait.spawned_by"))
    family = {task_id, *spans.loc[made_by == task_id, "span_id"]}
    return float(causes.loc[causes["activity_id"].isin(family), "amount_ns"].sum()) / 1e6


@pytest.mark.parametrize("program", [of_tasks, of_jobs], ids=lambda program: program.__name__)
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_who_is_off_the_path_is_charged_nothing(
    traced_to: Callable[..., Traced],
    factory: Callable[[], asyncio.AbstractEventLoop],
    program: Callable[[], "asyncio.Future[None]"],
) -> None:
    async def main() -> None:
        with phase("request"):
            await program()

    spans = traced_to()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    spans.stop()
    found = analysis.analyze(spans.output)
    (task,) = [span for span in spans.of_kind("task") if span.name.endswith("on_the_path")]
    assert task.ms >= took_ms[-1]
    assert under(found.causes, found.spans, "off_the_path") == 0
    assert under(found.causes, found.spans, "on_the_path") == pytest.approx(task.ms, rel=0.05)
