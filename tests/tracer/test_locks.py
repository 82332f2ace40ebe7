"""Locks that are looked at behave as plain ones, and tell who held them while others waited."""

import copy
import gc
import pickle
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import tracer
from tests.tracer.conftest import Traced
from tracer import phase
from tracer.records import LockRecord
from tracer.traced_lock import TracedLock, TracedRLock

Begin = Callable[..., Traced]

lock_tests = pytest.importorskip("test.lock_tests", reason="this interpreter ships no tests of its own")


def made_lock() -> Any:
    return TracedLock(threading.Lock(), LockRecord("a lock", None))


def made_rlock() -> Any:
    return TracedRLock(threading.RLock(), LockRecord("a lock", None))


class TestAsTheInterpretersOwnLock(lock_tests.LockTests):  # type: ignore[misc, name-defined]
    locktype = staticmethod(made_lock)


class TestAsTheInterpretersOwnRLock(lock_tests.RLockTests):  # type: ignore[misc, name-defined]
    locktype = staticmethod(made_rlock)


class TestConditionsOverLocks(lock_tests.ConditionTests):  # type: ignore[misc, name-defined]
    @staticmethod
    def condtype(lock: Any = None) -> threading.Condition:
        return threading.Condition(lock if lock is not None else made_rlock())


@pytest.mark.parametrize("make", [made_lock, made_rlock])
def test_it_is_refused_what_a_plain_lock_is_refused(make: Callable[[], Any]) -> None:
    lock = make()
    with pytest.raises(RuntimeError):
        lock.release()
    with pytest.raises(ValueError, match="timeout"):
        lock.acquire(False, 1)
    with pytest.raises(ValueError, match="timeout"):
        lock.acquire(True, -2)
    with pytest.raises(OverflowError):
        lock.acquire(True, 1e100)
    for refused in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickle"):
            refused(lock)
    known = weakref.ref(lock)
    del lock
    gc.collect()
    assert known() is None


def test_only_the_applications_locks_are_looked_at(traced_to: Begin) -> None:
    plain = type(threading.Lock())
    spans = traced_to()
    own, condition = threading.Lock(), threading.Condition()
    assert isinstance(own, TracedLock)
    assert isinstance(threading.RLock(), TracedRLock)
    assert "lock object" in repr(own)
    assert not isinstance(condition._lock, TracedRLock)  # type: ignore[attr-defined]  # made by the library
    taken_meanwhile = threading.Lock
    spans.stop()
    assert type(threading.Lock()) is plain
    assert type(taken_meanwhile()) is plain
    with own:  # a lock outlives the session
        assert own.locked()


@pytest.mark.parametrize(("setting", "kind"), [("none", False), ("all", True)])
def test_whose_locks_is_a_setting(
    setting: str, kind: bool, traced_to: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHYWAIT_LOCKS", setting)
    tracer.start()
    try:
        assert isinstance(threading.Lock(), TracedLock) is kind
        assert isinstance(threading.Condition()._lock, TracedRLock) is kind  # type: ignore[attr-defined]
    finally:
        tracer.stop()


def hold(lock: Any, seconds: float, begun: threading.Event) -> None:
    with lock:
        begun.set()
        time.sleep(seconds)


@pytest.mark.parametrize("name", ["Lock", "RLock"])
def test_a_wait_names_the_lock_and_its_holder(name: str, traced_to: Begin) -> None:
    spans = traced_to()
    lock = getattr(threading, name)()
    made_at = sys._getframe().f_lineno - 1
    begun = threading.Event()
    with phase("holding"), ThreadPoolExecutor(1) as pool:
        future = pool.submit(hold, lock, 0.05, begun)
        begun.wait()
        with phase("waiting"), lock:
            pass
        future.result()
    spans.stop()
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "lock_wait"]
    assert wait.ms == pytest.approx(50, abs=15)
    assert (wait["lock.file"], wait["lock.line"]) == (__file__, made_at)
    assert wait["lock.function"] == "test_a_wait_names_the_lock_and_its_holder"
    assert wait["holder.names"] == ["hold"]
    assert wait["holder.files"] == [__file__]
    assert wait["holder.trace_ids"] == [wait.trace_id]
    assert wait["holder.span_ids"] == [spans.one("job hold").span_id]
    assert wait["holder.ns"][0] == pytest.approx(wait.end_ns - wait.start_ns, rel=0.1)


def test_a_free_lock_is_no_wait(traced_to: Begin) -> None:
    spans = traced_to()
    lock, rlock = threading.Lock(), threading.RLock()
    with phase("root"):
        for _ in range(1_000):
            with lock, rlock, rlock:
                pass
    spans.stop()
    assert [span["wait"] for span in spans.of_kind("wait") if span["wait"] == "lock_wait"] == []
    assert spans.one("root")["small.lock_wait_ns"] is None


def test_a_wait_that_gave_up_is_a_wait_too(traced_to: Begin) -> None:
    spans = traced_to()
    lock, begun = threading.Lock(), threading.Event()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        pool.submit(hold, lock, 0.06, begun)
        begun.wait()
        assert lock.acquire(timeout=0.02) is False
    spans.stop()
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "lock_wait"]
    assert wait.ms == pytest.approx(20, abs=10)
    assert wait["holder.names"] == ["hold"]


def test_the_lock_of_every_submit_is_looked_at(traced_to: Begin) -> None:
    import concurrent.futures.thread as pools

    spans = traced_to()
    lock: Any = pools._global_shutdown_lock  # type: ignore[attr-defined]
    begun = threading.Event()
    holder = threading.Thread(target=hold, args=(lock, 0.04, begun))
    holder.start()
    begun.wait()
    with phase("root"), ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
    holder.join()
    spans.stop()
    (wait,) = [span for span in spans.of_kind("wait") if span["wait"] == "lock_wait"]
    assert "global lock" in wait["lock.name"]
    assert wait["holder.names"] == ["hold"]
    job = spans.one("job int")
    assert job.start_ns >= wait.end_ns  # it was handed over once the lock was had
