"""Waits for locks that have a name, of a file or in Redis, against stamps of the program.

1  |---held in ask_model---|
2  |~~~~~~~~~waits~~~~~~~~~|~pause~|---held---|
"""

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis
import redis.asyncio

import whywait
from testbed.databases import redis_program, redis_server
from tests.tracer.conftest import Traced, traced_to
from whywait import analysis
from whywait.analysis.causes import Cause
from whywait.tracer.probes.connections.pool_probe import NamedLock, PoolProbe

__all__ = ["traced_to"]
HELD_S, PAUSE_S = 0.1, 0.01
WAITERS = 3


async def ask_model() -> None:
    await asyncio.sleep(HELD_S)


def ask_model_in_a_thread() -> None:
    time.sleep(HELD_S)


def file_lock(path: str) -> Any:
    filelock = pytest.importorskip("filelock")
    return filelock.FileLock(path, poll_interval=PAUSE_S)


def async_file_lock(path: str) -> Any:
    pytest.importorskip("filelock")
    from filelock import AsyncFileLock

    return AsyncFileLock(
        path, poll_interval=PAUSE_S, run_in_executor=False
    )  # in one, a thread's start has its own cause


def portalocker_lock(path: str) -> Any:
    portalocker = pytest.importorskip("portalocker")
    return portalocker.Lock(path, timeout=10, check_interval=PAUSE_S)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    if redis_program() is None:
        pytest.skip("no Redis: Debian's package is called redis-server")
    with redis_server() as found:
        yield found


class Stamps:
    """When each waited and when each had the lock, by the program's clock; its own computing is in neither truth."""

    def __init__(self) -> None:
        self.waits: list[tuple[float, float]] = []
        self.holds: list[tuple[float, float]] = []

    def had(self, began: float, got: float) -> None:
        self.waits.append((began, got))
        self.holds.append((got, time.perf_counter()))

    @property
    def waited_ms(self) -> float:
        return sum(until - since for since, until in self.waits) * 1e3

    @property
    def held_ms(self) -> float:
        """Of the waits, in which another had it."""
        return 1e3 * sum(
            max(min(until, end) - max(since, start), 0) for since, until in self.waits for start, end in self.holds
        )


def in_threads(make: Callable[[], Any]) -> Stamps:
    stamps = Stamps()

    @whywait.traced(name="pay")
    def pay() -> None:
        lock, began = make(), time.perf_counter()
        with lock:
            got = time.perf_counter()
            ask_model_in_a_thread()
            stamps.had(began, got)

    threads = [threading.Thread(target=pay) for _ in range(WAITERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return stamps


async def on_a_loop(make: Callable[[], Any]) -> Stamps:
    stamps = Stamps()

    @whywait.traced(name="pay")
    async def pay() -> None:
        lock, began = make(), time.perf_counter()
        async with lock:
            got = time.perf_counter()
            await ask_model()
            stamps.had(began, got)

    await asyncio.gather(*(pay() for _ in range(WAITERS)))
    return stamps


def said_of(session: Traced) -> tuple[Any, float, dict[str, float], str]:
    """The analysis, its lock wait in ms, its parts by culprit, and what is said of it."""
    session.stop()
    found = analysis.analyze(analysis.load_traces(session.output))
    locks = found.causes[found.causes["cause"] == Cause.LOCK_WAIT]
    parts = found.culprits[found.culprits["cause"] == Cause.LOCK_WAIT].groupby("culprit")["ns"].sum()
    (judged,) = analysis.verdict(found)
    return found, locks["amount_ns"].sum() / 1e6, parts.to_dict(), " ".join(judged.reasons)


def holds(session: Traced, stamps: Stamps, holder: str, words: str) -> None:
    _, told_ms, parts, said = said_of(session)
    assert 2.5 * HELD_S * 1e3 < told_ms < 1.05 * stamps.waited_ms
    assert told_ms > 0.9 * stamps.held_ms
    assert max(parts, key=lambda one: parts[one]) == holder
    assert parts[holder] > 0.75 * sum(parts.values())
    assert words in said
    assert "nobody" not in said


@pytest.mark.parametrize("make", [file_lock, portalocker_lock])
def test_threads_wait_for_a_file(make: Callable[[str], Any], tmp_path: Path, traced_to: Callable[..., Traced]) -> None:
    path = str(tmp_path / "ledger.lock")
    make(path)
    session = traced_to()
    holds(session, in_threads(lambda: make(path)), "ask_model_in_a_thread", "ledger.lock'")


def test_tasks_wait_for_a_file(tmp_path: Path, traced_to: Callable[..., Traced]) -> None:
    path = str(tmp_path / "ledger.lock")
    session = traced_to()
    holds(session, asyncio.run(on_a_loop(lambda: async_file_lock(path))), "ask_model", "ledger.lock'")


def test_threads_wait_for_a_key(port: int, traced_to: Callable[..., Traced]) -> None:
    session = traced_to()
    with redis.Redis(port=port) as server:
        stamps = in_threads(lambda: server.lock("seats", sleep=PAUSE_S))
    holds(session, stamps, "ask_model_in_a_thread", "redis Lock 'seats'")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_tasks_wait_for_a_key(loop: str, port: int, traced_to: Callable[..., Traced]) -> None:
    async def work() -> Stamps:
        async with redis.asyncio.Redis(port=port) as server:
            return await on_a_loop(lambda: server.lock("seats", sleep=PAUSE_S))

    session = traced_to()
    stamps = asyncio.run(work()) if loop == "asyncio" else pytest.importorskip(loop).run(work())
    holds(session, stamps, "ask_model", "redis Lock 'seats'")


def test_one_who_has_it_may_acquire_it_again(tmp_path: Path, traced_to: Callable[..., Traced]) -> None:
    lock = file_lock(str(tmp_path / "ledger.lock"))

    @contextlib.contextmanager
    def twice() -> Iterator[None]:
        with lock, lock:
            pass
        with lock:
            with lock:
                pass
            yield

    holds(traced_to(), in_threads(twice), "ask_model_in_a_thread", "ledger.lock'")


def test_another_process_has_it(tmp_path: Path, traced_to: Callable[..., Traced]) -> None:
    path = str(tmp_path / "ledger.lock")
    lock = file_lock(path)
    program = "import sys,filelock\nwith filelock.FileLock(sys.argv[1]):\n print(flush=True)\n sys.stdin.read(1)"
    session = traced_to()
    with subprocess.Popen(
        [sys.executable, "-c", program, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        other.stdout.readline()
        threading.Timer(HELD_S, other.stdin.close).start()

        @whywait.traced(name="pay")
        def pay() -> None:
            with lock:
                pass

        pay()
    _, told_ms, _, said = said_of(session)
    assert told_ms > 0.9 * HELD_S * 1e3
    assert "ledger.lock', which nobody in this process had" in said


def test_to_ask_for_a_free_one_is_no_wait_for_others(port: int, traced_to: Callable[..., Traced]) -> None:
    @whywait.traced(name="pay")
    async def pay(server: redis.asyncio.Redis) -> None:
        async with server.lock("free", sleep=PAUSE_S):
            await ask_model()

    async def one_after_another() -> None:
        async with redis.asyncio.Redis(port=port) as server:
            for _ in range(WAITERS):
                await pay(server)

    session = traced_to()
    asyncio.run(one_after_another())
    _, told_ms, _, _ = said_of(session)
    assert told_ms == 0


class MadeUpLock:
    """The lock of a library that nobody knows."""

    taken: ClassVar[set[str]] = set()

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        while not self.acquire_once():
            time.sleep(PAUSE_S)

    def acquire_once(self) -> bool:
        free = self.name not in self.taken
        self.taken.add(self.name)
        return free

    def __exit__(self, *_: object) -> None:
        self.taken.remove(self.name)


def test_the_lock_of_a_third_party(monkeypatch: pytest.MonkeyPatch, traced_to: Callable[..., Traced]) -> None:
    library = types.ModuleType("made_up_locks")
    library.__dict__["Lock"] = type("Lock", (MadeUpLock,), {"__module__": library.__name__})
    monkeypatch.setitem(sys.modules, library.__name__, library)
    one = f"{library.__name__}.Lock"
    probe = PoolProbe(library.__name__, NamedLock(f"{one}.__enter__", f"{one}.__exit__", lambda lock: str(lock.name)))
    session = traced_to()
    undo = probe.install(session)  # type: ignore[arg-type]
    stamps = in_threads(lambda: library.Lock("wall"))
    undo()
    holds(session, stamps, "ask_model_in_a_thread", "made_up_locks Lock 'wall'")
