"""A worker that sleeps in C code, as a driver's: the user's function that called it is named, and its line, apart from
those that computed in the same job."""

import asyncio
import importlib
import os
import pprint
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import aiosqlite
import numpy as np
import pytest
import sqlalchemy
from threadpoolctl import threadpool_limits

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, traced
from whywait.analysis.causes import Cause
from whywait.analysis.situations.situation import Situation
from whywait.analysis.verdicts.judgement import Judgement, judge

__all__ = ["traced_to"]
ASLEEP_S, COMPUTES_S = 0.12, 0.06


def prepare() -> None:
    until = time.thread_time() + COMPUTES_S
    while time.thread_time() < until:
        sum(range(500))


def ask(path: Path) -> bytes:
    with path.open("rb") as found:  # waits for who writes
        return found.read()


def handle(path: Path) -> float:
    prepare()
    threading.Timer(ASLEEP_S, path.write_bytes, [b"x"]).start()
    began = time.perf_counter()
    ask(path)
    return time.perf_counter() - began


def test_who_called_into_c_is_named_apart_from_who_computed(traced_to: Callable[..., Traced], tmp_path: Path) -> None:
    path = tmp_path / "answer"
    os.mkfifo(path)
    spans = traced_to().sampled()

    @traced
    async def root() -> float:
        with ThreadPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, handle, path)

    slept_s = asyncio.run(root())
    spans.stop()
    (run,) = spans.of_kind("run")
    assert run["called.names"] == ["ask"]
    assert run["called.files"] == [__file__]
    assert run["called.lines"] == [ask.__code__.co_firstlineno + 1]
    assert run["called.ns"][0] == pytest.approx(slept_s * 1e9, rel=0.15)
    # a look at its stack between two samples of its state may fall to either
    assert run["ran.names"][0] == "prepare"
    assert run["ran.ns"][0] > 0.7 * run["cpu_ns"]
    found = analysis.analyze(spans.output)
    slept = found.culprits[found.culprits["cause"] == Cause.BLOCKING_IO]
    by = slept.groupby("culprit")["ns"].sum()
    assert by["ask"] > 0.9 * by.sum(), by


def test_who_awaits_a_library_that_sleeps_in_its_own_thread_is_named(
    traced_to: Callable[..., Traced], tmp_path: Path
) -> None:
    """SQLite sleeps until another connection has committed."""
    path, waited_s = tmp_path / "events.db", [0.0]
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE events (id INTEGER)")

    @traced
    async def add() -> None:
        async with aiosqlite.connect(path, timeout=5) as db:
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(ASLEEP_S, other.execute, ["COMMIT"]).start()
            began = time.perf_counter()
            await db.execute("INSERT INTO events VALUES (1)")
            waited_s[0] = time.perf_counter() - began
            await db.commit()

    spans = traced_to().sampled()
    with closing(other):
        asyncio.run(add())
    spans.stop()
    called = [one for one in spans.of_kind("run") if one["called.names"]]
    (longest,) = sorted(called, key=lambda one: one.end_ns - one.start_ns)[-1:]
    assert longest["called.names"] == [add.__qualname__]
    assert longest["called.files"] == [__file__]
    assert longest["called.ns"][0] == pytest.approx(waited_s[0] * 1e9, rel=0.15)


def test_the_librarys_call_that_sleeps_is_told(traced_to: Callable[..., Traced], tmp_path: Path) -> None:
    path = tmp_path / "stock.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE stock (id INTEGER)")
    engine = sqlalchemy.create_engine(f"sqlite:///{path}", connect_args={"timeout": 5})

    def reserve() -> None:
        with engine.begin() as connection:
            other.execute("BEGIN IMMEDIATE")
            threading.Timer(ASLEEP_S, other.execute, ["COMMIT"]).start()
            connection.execute(sqlalchemy.text("INSERT INTO stock VALUES (1)"))

    @traced
    async def root() -> None:
        await asyncio.to_thread(reserve)

    spans = traced_to().sampled()
    with closing(other):
        asyncio.run(root())
    engine.dispose()
    spans.stop()
    (run,) = spans.of_kind("run")
    assert (run["call.of"], run["call.package"]) == ("Connection.execute", "sqlalchemy")
    assert run["called.names"] == [reserve.__qualname__]


def score(matrix: "np.ndarray[Any, Any]", times: int) -> None:
    for _ in range(times):
        matrix = matrix @ matrix / len(matrix)


def judged_at_once(traced_to: Callable[..., Traced], calls: int) -> Judgement:
    """The judgement of so many requests at once, each of which multiplies in a worker, by a library's two threads."""
    spans = traced_to().sampled()
    matrix = np.random.default_rng(1).random((700, 700))

    @traced
    async def ask() -> None:
        await asyncio.to_thread(score, matrix, 24 // calls)

    async def ask_all() -> None:
        await asyncio.gather(*(asyncio.create_task(ask()) for _ in range(calls)))

    with threadpool_limits(2):
        asyncio.run(ask_all())
    spans.stop()
    (found,) = judge(analysis.analyze(spans.output))
    return found


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one CPU: the library has one thread")
def test_calls_that_queue_for_the_threads_of_a_native_library(traced_to: Callable[..., Traced]) -> None:
    several = judged_at_once(traced_to, 6)
    assert several.reasons[0].cause is Cause.LOCK_WAIT
    assert several.reasons[0].remedy.key == "lock_wait/native_queue"
    (queue,) = (one.numbers for one in several.situations if one.kind is Situation.NATIVE_QUEUE)
    assert f"in score (truth/test_calls_in_workers.py:{score.__code__.co_firstlineno + 2})" in queue["where"]
    assert 2 <= queue["most"] <= 6


def test_a_call_that_waits_alone_waits_for_what_computes_for_it(traced_to: Callable[..., Traced]) -> None:
    alone = judged_at_once(traced_to, 1)
    assert not [one for one in alone.situations if one.kind is Situation.NATIVE_QUEUE]


def test_what_a_library_computes_in_a_worker_is_told_by_who_asked_for_it(traced_to: Callable[..., Traced]) -> None:
    spans = traced_to().sampled()
    rows = [{"number": number, "name": str(number)} for number in range(10_000)]

    async def export() -> None:
        for _ in range(3):
            await asyncio.to_thread(pprint.pformat, rows)

    @traced
    async def root() -> None:
        await export()

    asyncio.run(root())
    spans.stop()
    found = analysis.analyze(spans.output).culprits
    computed = found[found["cause"] == Cause.COMPUTE].groupby(["culprit", "culprit_line"])["ns"].sum()
    where = next(at for at in computed.index if at[0].endswith("export"))
    assert where[1] == export.__code__.co_firstlineno + 2
    assert computed[where] > 0.9 * computed.sum(), computed


def test_who_asks_again_and_again_in_a_worker_polls(traced_to: Callable[..., Traced]) -> None:
    done = threading.Event()

    def until_done() -> None:
        while not done.is_set():
            time.sleep(ASLEEP_S / 3)

    spans = traced_to().sampled()

    @traced
    async def root() -> None:
        asyncio.get_running_loop().call_later(ASLEEP_S, done.set)
        await asyncio.to_thread(until_done)

    asyncio.run(root())
    spans.stop()
    (told,) = judge(analysis.analyze(spans.output))
    reason = told.reasons[0]
    assert reason.remedy.key == "blocking_io/polling"
    assert reason.culprit.endswith("until_done")
    assert reason.mean_ns / 1e9 == pytest.approx(ASLEEP_S, rel=0.4)  # up to one pause more


def test_who_waits_for_sqlite_s_write_lock_is_told_how_sqlite_waits(
    traced_to: Callable[..., Traced], tmp_path: Path
) -> None:
    path = tmp_path / "votes.db"
    waited_s, writing = [], threading.Event()

    def opened() -> sqlite3.Connection:
        return sqlite3.connect(path, timeout=10, isolation_level=None)

    with closing(opened()) as first:
        first.execute("create table votes (n int)")

    def export() -> None:
        with closing(opened()) as mine:
            mine.execute("begin immediate")
            writing.set()
            time.sleep(2 * ASLEEP_S)
            mine.execute("commit")

    def vote() -> None:
        with closing(opened()) as mine:
            began = time.perf_counter()
            mine.execute("insert into votes values (1)")
            waited_s.append(time.perf_counter() - began)

    @traced
    async def root() -> None:
        await asyncio.to_thread(vote)

    spans = traced_to().sampled()
    thread = threading.Thread(target=export)
    thread.start()
    writing.wait()
    asyncio.run(root())
    thread.join()
    spans.stop()
    (found,) = judge(analysis.analyze(spans.output))
    reason = found.reasons[0]
    assert (reason.cause, reason.culprit) == (Cause.BLOCKING_IO, vote.__qualname__)
    assert reason.mean_ns / 1e9 == pytest.approx(waited_s[0], rel=0.1)
    assert reason.remedy.key == "blocking_io/in_worker"
    assert "another connection has the database's write lock" in reason.remedy.text


def test_the_job_that_a_loop_looks_for_may_end_as_the_last_pause_begins(traced_to: Callable[..., Traced]) -> None:
    pauses, used_s = [0], []

    def ends_in_a_new_pause() -> None:
        began = time.thread_time()
        prepare()
        seen = pauses[0]
        while pauses[0] == seen:
            pass
        used_s.append(time.thread_time() - began)

    def look() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(time.sleep, 0).result()  # its worker starts
            job = pool.submit(ends_in_a_new_pause)
            while not job.done():
                pauses[0] += 1
                time.sleep(ASLEEP_S / 6)

    @traced
    async def root() -> None:
        await asyncio.to_thread(look)

    spans = traced_to().sampled()
    asyncio.run(root())
    spans.stop()
    (found,) = judge(analysis.analyze(spans.output))
    (reason,) = [one for one in found.reasons if one.cause is Cause.COMPUTE]
    assert reason.mean_ns / 1e9 == pytest.approx(used_s[0], rel=0.15)


TURNS = """
import _thread, os, threading, time

def ask(times, each_s):
    '''A call that waits for a thread of its own and for the kernel in turns, as gRPC's does.'''
    done, (reads, writes) = _thread.allocate_lock(), os.pipe()  # a lock of C: only samples show who waits for it
    done.acquire()

    def serve():
        for _ in range(times):
            time.sleep(each_s)
            done.release()
            time.sleep(each_s)
            os.write(writes, b"x")

    threading.Thread(target=serve, daemon=True).start()
    for _ in range(times):
        done.acquire()
        os.read(reads, 1)
    os.close(reads)
    os.close(writes)
"""


def test_a_librarys_call_on_the_loop_that_waits_in_turns_with_its_thread_is_one_blocking_call(
    traced_to: Callable[..., Traced], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "site-packages"
    (home / "taking_turns").mkdir(parents=True)
    (home / "taking_turns" / "__init__.py").write_text(TURNS)
    monkeypatch.syspath_prepend(str(home))
    library = importlib.import_module("taking_turns")
    spans = traced_to().sampled()

    @traced
    async def root() -> float:
        began = time.perf_counter()
        library.ask(5, 0.02)
        return time.perf_counter() - began

    took_s = asyncio.run(root())
    spans.stop()
    found = analysis.analyze(spans.output)
    blocked = found.causes[found.causes["cause"] == Cause.BLOCKING_IO]
    assert blocked["amount_ns"].sum() == pytest.approx(took_s * 1e9, rel=0.1)
    assert Cause.LOCK_WAIT not in found.causes["cause"].tolist()
    (told,) = judge(found)
    assert told.reasons[0].culprit == root.__qualname__
