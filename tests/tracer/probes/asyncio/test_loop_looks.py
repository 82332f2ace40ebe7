"""What keeps the loop is looked at from within where nobody else can: C code that allocates."""

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.host.native import native_core
from whywait.tracer.hotpath import core
from whywait.tracer.records.current import here
from whywait.tracer.records.loop import Callback, Look
from whywait.tracer.records.request import Wait

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


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
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


def test_what_is_made_in_haste_has_all_of_its_fields(traced_to: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    """`made` asks nobody how many there are: a record that has got one more would be too short."""
    found: list[tuple[type[Any], int]] = []

    def checked(kind: Any, fields: tuple[Any, ...]) -> Any:
        found.append((kind, len(kind._fields) - len(fields)))
        return tuple.__new__(kind, fields)

    for module in ("whywait.tracer.hotpath.waits", "whywait.tracer.hotpath.loop_history"):
        monkeypatch.setattr(f"{module}.made", checked)
    traced_to()

    async def main() -> None:
        with phase("root"):
            for _ in range(50):  # short callbacks, on a busy machine as well, which are made together as one record
                await asyncio.sleep(0)
            await asyncio.sleep(0.01)
            waits.extend(here.current.waits)

    waits: list[Wait] = []
    asyncio.run(main())
    by_native_core = {Wait, Look, Callback} if core.name == native_core.NATIVE else set()
    assert {kind for kind, _ in found} | by_native_core == {Wait, Callback, Look}
    assert all(missing == 0 for _, missing in found)
    assert {len(one) for one in waits} == {len(Wait._fields)}
