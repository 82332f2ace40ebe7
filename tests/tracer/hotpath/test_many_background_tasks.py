"""A service with more tasks than are followed, one for each open connection, pays for no search at each step of one."""

import asyncio
from types import SimpleNamespace
from typing import Any

from whywait.tracer.hotpath.task_steps import end_background
from whywait.tracer.records.background import MOST_TASKS, SEARCH_EVERY_NS
from whywait.tracer.records.loop import Loop


def test_a_full_table_is_searched_seldom_and_has_room_again_for_those_that_came_later() -> None:
    asked: list[None] = []
    living: Any = SimpleNamespace(task=lambda: asked.append(None) or living)
    gone: Any = SimpleNamespace(task=lambda: None)

    async def connected() -> None:
        loop, task = Loop(1, 1), asyncio.create_task(asyncio.sleep(1))
        loop.background = dict.fromkeys(range(MOST_TASKS), living)
        for end_ns in range(SEARCH_EVERY_NS, SEARCH_EVERY_NS + 100):
            end_background(loop, task.cancel, end_ns)
        assert len(asked) == len(loop.background) == MOST_TASKS

        loop.background[0] = gone
        end_background(loop, task.cancel, 3 * SEARCH_EVERY_NS)
        assert len(loop.background) == MOST_TASKS
        assert loop.background[id(task)].task() is task
        task.cancel()

    asyncio.run(connected())
