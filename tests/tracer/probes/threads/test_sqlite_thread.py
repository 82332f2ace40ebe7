"""A connection of aiosqlite has one thread: who waits for it is told behind whose query."""

import asyncio
import sqlite3
from collections.abc import Callable

import pytest

import whywait
from tests.tracer.conftest import Traced

aiosqlite = pytest.importorskip("aiosqlite")
SLOW = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000) SELECT sum(i * 7 % 5) FROM n"


@whywait.traced
async def totals(db: "aiosqlite.Connection") -> list[tuple[int]]:
    return list(await db.execute_fetchall(SLOW))  # the culprit


@whywait.traced
async def find(db: "aiosqlite.Connection") -> None:
    await asyncio.sleep(0.005)
    (found,) = await db.execute_fetchall("SELECT ?", (3,))
    assert found == (3,)


def test_who_waits_for_the_thread_of_a_connection_is_told_behind_whose_query(traced_to: Callable[..., Traced]) -> None:
    spans = traced_to()

    async def work() -> None:
        async with aiosqlite.connect(":memory:") as db:
            (counted, _) = await asyncio.gather(totals(db), find(db))
            assert counted == [(800_000,)]
            with pytest.raises(sqlite3.OperationalError) as raised:
                await db.execute_fetchall("SELECT nothing")
            assert not any(str(entry.path).endswith(("/sqlite_thread.py", "/jobs.py")) for entry in raised.traceback)

    asyncio.run(work())
    spans.stop()
    assert not hasattr(aiosqlite.core.Connection._execute, "__wrapped__")
    wait = max((span for span in spans.of_kind("wait") if span["wait"] == "pool_queue"), key=lambda span: span.ms)
    assert (wait["pool.name"], wait["pool.size"]) == ("aiosqlite Connection", 1)
    assert wait["occupant.names"] == ["totals"]
    assert wait["occupant.files"] == [__file__]
    assert wait["occupant.lines"] == [totals.__wrapped__.__code__.co_firstlineno + 2]
    slow = max(spans.of_kind("run"), key=lambda span: span.ms)
    assert wait.ms <= slow.ms + 2
