"""What keeps the loop is looked at from within where nobody else can: C code that allocates."""

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from tests.tracer.conftest import Traced
from tracer import phase

Begin = Callable[..., Traced]
ROWS = json.dumps([{"row": row, "name": f"pod-{row}"} for row in range(60_000)])


def parse() -> Any:
    return json.loads(ROWS)


def count() -> int:
    return sum(number for number in range(600_000))


async def run(work: Callable[[], Any]) -> None:
    with phase("request"):
        await asyncio.sleep(0.001)
        work()


@pytest.mark.parametrize(
    "factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
@pytest.mark.parametrize(("work", "name"), [(parse, "parse"), (count, None)])
def test_a_collection_looks_at_what_keeps_the_loop(
    traced_to: Begin, factory: Any, work: Callable[[], Any], name: str | None
) -> None:
    spans = traced_to(watchdog_interval_s=0.0)
    loop = factory()
    loop.run_until_complete(run(work))
    loop.close()
    spans.stop()
    (block,) = [one for one in spans.of_kind("block") if one.ms > 5]
    assert gc.isenabled()
    assert block.attributes.get("code.function.name") == name  # what allocates nothing is not looked at
