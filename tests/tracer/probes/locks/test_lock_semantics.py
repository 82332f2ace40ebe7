"""Watched locks behave as plain ones do: CPython's own lock tests, and what those do not ask."""

import _thread
import copy
import json
import pickle
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import whywait
from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.probes.locks.traced_lock import TracedLock, TracedRLock

pytest.importorskip("test.lock_tests")
Begin = Callable[..., Traced]
PLAIN_LOCK, PLAIN_RLOCK, RLOCK = threading.Lock, _thread.RLock, threading.RLock


@pytest.fixture
def traced(traced_to: Begin) -> Iterator[None]:
    traced_to()
    yield
    whywait.stop()


def test_cpythons_own_tests_of_locks_pass(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.tracer.probes.locks.cpython_lock_tests", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    ran, failed = json.loads(done.stdout.splitlines()[-1])
    assert ran > 50
    assert failed == {}


def makers() -> list[tuple[Any, Any]]:
    return [(PLAIN_LOCK, threading.Lock), (PLAIN_RLOCK, threading.RLock)]


@pytest.mark.usefixtures("traced")
def test_types_pass_for_one_another() -> None:
    for make_plain, make in makers():
        plain, watched = make_plain(), make()
        assert isinstance(watched, type(plain))
        assert isinstance(plain, type(watched))
        assert watched.__class__ is type(plain)
        assert type(watched).__name__ == type(plain).__name__
        assert type(watched).__module__ == type(plain).__module__
        assert not isinstance(threading.Event(), type(watched))
    assert isinstance(threading.Lock(), _thread.LockType)
    assert not isinstance(threading.RLock(), type(threading.Lock()))


@pytest.mark.usefixtures("traced")
def test_they_look_and_refuse_alike() -> None:
    for make_plain, make in makers():
        plain, watched = make_plain(), make()
        assert repr(watched).split(" at ")[0] == repr(plain).split(" at ")[0]
        assert {name for name in dir(plain) if not hasattr(watched, name)} == set()
        for name in ("_release_save", "_is_owned", "acquire_lock", "locked", "__dict__", "nothing"):
            assert hasattr(watched, name) == hasattr(plain, name), name
        assert weakref.ref(watched)() is watched
        for refused in (
            lambda lock: lock.release(),
            lambda lock: lock.acquire(False, 1),
            lambda lock: lock.acquire(True, -5),
            lambda lock: lock.acquire(True, 1e30),
            lambda lock: lock.acquire(True, "soon"),
            pickle.dumps,
            copy.copy,
            copy.deepcopy,
        ):
            with pytest.raises(Exception) as of_plain:
                refused(plain)
            with pytest.raises(of_plain.type, match=r"^") as of_watched:
                refused(watched)
            assert str(of_watched.value) == str(of_plain.value)
        with pytest.raises(AttributeError):
            watched.surprise = 1


@pytest.mark.usefixtures("traced")
def test_what_refers_to_a_lock_does_not_keep_it() -> None:
    lock = threading.Lock()
    gone = weakref.ref(lock)
    with phase("root"), lock:
        pass
    del lock
    assert gone() is None


@pytest.mark.usefixtures("traced")
def test_an_interrupted_wait_leaves_the_line() -> None:
    lock = threading.Lock()

    class Interrupt(BaseException):
        pass

    def interrupted(*_: Any) -> bool:
        raise Interrupt

    with phase("root"):
        lock.acquire()
        plain_try, tries = lock._try, []  # type: ignore[attr-defined]

        def attempt(*args: Any) -> bool:
            tries.append(args)
            return plain_try(*args) if len(tries) == 1 else interrupted()

        lock._try = attempt  # type: ignore[attr-defined]
        with pytest.raises(Interrupt):
            lock.acquire()
        lock._try = plain_try  # type: ignore[attr-defined]
        assert lock._waiting == []  # type: ignore[attr-defined]
        lock.release()
        assert lock.acquire(timeout=1)


@dataclass
class Account:
    lock: Any = field(default_factory=threading.Lock)


def test_whose_locks_are_watched(traced_to: Begin) -> None:
    for which, watched in (("app", True), ("all", True), ("none", False), (__name__, True), ("other.module", False)):
        traced_to(locks=which)

        @dataclass
        class Fresh:
            lock: Any = field(default_factory=threading.Lock)

        made = [threading.Lock(), threading.RLock(), Fresh().lock, threading.Condition()._lock]
        assert all(type(one) in (TracedLock, TracedRLock) for one in made) is watched, which
        assert any(type(one) in (TracedLock, TracedRLock) for one in made) is watched, which
        with ThreadPoolExecutor(1) as pool:
            of_library = pool._shutdown_lock  # type: ignore[attr-defined]
        assert (type(of_library) is TracedLock) is (which == "all")
        whywait.stop()
        assert type(threading.Lock()) is not TracedLock
        for one in made:  # those made while we traced go on as ever
            with one:
                assert not one.acquire(False) or type(one) is not TracedLock


def test_a_lock_outlives_a_session_and_meets_the_next(traced_to: Begin) -> None:
    traced_to()
    lock = threading.Lock()
    whywait.stop()
    with lock:
        assert lock.locked()
    traced_to()
    with phase("root"), lock:
        assert lock.locked()
    assert not lock.locked()
    whywait.stop()


@pytest.mark.usefixtures("traced")
def test_the_types_make_what_the_plain_ones_make() -> None:
    assert repr(threading.Lock) == repr(PLAIN_LOCK)
    assert threading.RLock is RLOCK  # what it calls is replaced
    assert type(type(threading.RLock())()) in (TracedRLock, type(PLAIN_RLOCK()))
    if not isinstance(PLAIN_LOCK, type):
        with pytest.raises(TypeError, match=r"cannot create '_thread\.lock' instances"):
            type(threading.Lock())()

    class Holder:
        make = threading.Lock

    assert Holder().make().acquire()


MANAGED = """
import multiprocessing, sys
import whywait

if __name__ == "__main__":
    if sys.argv[1] == "before":
        import multiprocessing.managers
    whywait.start("test", config=whywait.Config(sampler=False))
    with multiprocessing.get_context("spawn").Manager() as manager:  # sends what makes its locks to its process
        with manager.Lock(), manager.RLock():
            print("held")
    whywait.stop()
"""


def test_a_lock_is_nobodys_base(traced_to: Begin) -> None:
    def words() -> str:
        with pytest.raises(TypeError) as refused:

            class Mine(threading.Lock):  # type: ignore[misc]
                pass

        return str(refused.value)

    plain = words()
    traced_to()
    assert words() == plain


@pytest.mark.parametrize("imported", ["before", "after"])
def test_a_manager_of_multiprocessing_starts_in_a_process_without_us(tmp_path: Path, imported: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(MANAGED)
    ran = subprocess.run([sys.executable, program, imported], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (0, "held\n"), ran.stderr


@pytest.mark.parametrize("name", ["Lock", "RLock"])
def test_what_makes_locks_can_be_pickled_by_name(traced_to: Callable[..., Traced], name: str) -> None:
    plain = getattr(threading, name)
    as_plain = pickle.dumps(plain)
    traced_to()
    found = getattr(threading, name)
    assert type(found()) is {"Lock": TracedLock, "RLock": TracedRLock}[name]
    pickled = pickle.dumps(found)
    assert b"tracer" not in pickled
    assert pickle.dumps(plain) == as_plain  # the host may have had it before
    whywait.stop()
    assert pickle.loads(pickled) is plain
    assert pickle.loads(pickle.dumps(found)) is plain  # or have kept what it found
