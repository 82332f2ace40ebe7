"""The kernel's readings of a thread, again in a second session and of its own in a forked child."""

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import whywait
from whywait.tracer.host import thread_clocks
from whywait.tracer.hotpath import recorder

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/thread-self/schedstat"), reason="no run-queue time on this machine"
)


def test_readings_go_on_after_a_session_has_closed_them() -> None:
    for _ in range(3):
        assert thread_clocks.run_queue_available()
        assert thread_clocks.run_queue_ns() is not None
        assert thread_clocks.run_queue_ns() is not None
        thread_clocks.close_all()


def test_a_call_that_ends_after_its_session_opens_nothing() -> None:
    assert thread_clocks.run_queue_available()
    thread_clocks.close_all()
    before = len(os.listdir("/proc/self/fd"))
    assert thread_clocks.run_queue_ns() is None
    late: list[int | None] = []
    thread = threading.Thread(target=lambda: late.append(thread_clocks.run_queue_ns()))
    thread.start()
    thread.join()
    assert late == [None]
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_file_that_was_being_opened_when_its_session_ended_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    thread_clocks.run_queue_available()
    plain, opened = os.open, []

    def slow(*args: Any, **kwargs: Any) -> int:
        opened.append(plain(*args, **kwargs))
        thread_clocks.close_all()  # by another thread: opening a file lets others run
        return opened[0]

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", slow)
        told: list[int | None] = []
        thread = threading.Thread(target=lambda: told.append(thread_clocks.run_queue_ns()))
        thread.start()
        thread.join()
    assert told == [None]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_every_session_has_the_signal() -> None:
    for _ in range(3):
        whywait.start()
        assert recorder.active is not None
        assert "run_queue" in recorder.active.signals
        whywait.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_reads_its_own() -> None:
    whywait.start()
    before = thread_clocks.run_queue_ns()
    assert before is not None
    child = os.fork()
    if not child:
        try:
            whywait.start()  # a child's clocks are its own from the moment at which it is traced
            mine = Path(f"/proc/{os.getpid()}/task/{threading.get_native_id()}/schedstat").read_text()
            read = thread_clocks.run_queue_ns()
            whywait.stop()
            # a young process has queued less than one second; its parent's thread may have queued more
            os._exit(0 if read is not None and abs(read - int(mine.split()[1])) < 50_000_000 else 3)
        finally:
            os._exit(2)
    _, status = os.waitpid(child, 0)
    whywait.stop()
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_large_pool_leaves_the_service_its_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    assert thread_clocks.run_queue_available()
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(thread_clocks.resource, "getrlimit", lambda _: (160, 160))
    before, held, told = len(os.listdir("/proc/self/fd")), len(thread_clocks._open_fds), []
    enough = threading.Barrier(61)

    def work() -> None:
        told.append(thread_clocks.run_queue_ns())
        enough.wait()
        enough.wait()

    threads = [threading.Thread(target=work) for _ in range(60)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while len(told) < number:  # of two that ask at once both may have the last
            time.sleep(0.001)
    enough.wait()
    assert len(os.listdir("/proc/self/fd")) - before <= 20
    assert sum(one is not None for one in told) == 20 - held  # this thread may have one
    monkeypatch.setattr(thread_clocks.resource, "getrlimit", lambda _: (resource.RLIM_INFINITY,) * 2)
    late: list[int | None] = []
    thread = threading.Thread(target=lambda: late.append(thread_clocks.run_queue_ns()))
    thread.start()
    thread.join()
    assert late[0] is not None
    enough.wait()
    for thread in threads:
        thread.join()
    thread_clocks.close_all()
