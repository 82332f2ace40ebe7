"""The clocks of a pool's processes: what they say, and that no file of them stays open."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whywait.tracer.host import process_clocks
from whywait.tracer.host.process_clocks import WorkerClocks

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


class Executor:
    """What of a pool of processes is looked at."""

    def __init__(self, processes: dict[int, Any]) -> None:
        self._max_workers, self._processes = len(processes), processes


@pytest.fixture
def executor() -> Iterator[Executor]:
    """With two processes that have worked, and do no more."""
    code = "for _ in range(10**6): pass\nprint(flush=True)\ninput()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    running = [subprocess.Popen([sys.executable, "-S", "-c", code], **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for one in running:
        one.stdout.readline()
    yield Executor({one.pid: one for one in running})
    for one in running:
        one.communicate(b"\n")


def files_of(executor: Executor) -> int:
    links = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    targets = [os.readlink(one) for one in links if one.is_symlink()]
    return sum(one.startswith(f"/proc/{number}/") for one in targets for number in executor._processes)


def test_each_process_is_read_and_its_files_are_kept_until_they_are_closed(executor: Executor) -> None:
    clocks = WorkerClocks(executor)
    found = clocks.read()
    assert found.keys() == executor._processes.keys()
    assert all(one.cpu_ns > 0 for one in found.values())
    kept = files_of(executor)
    assert kept
    assert clocks.read().keys() == found.keys()
    assert files_of(executor) == kept
    clocks.close()
    assert files_of(executor) == 0
    assert clocks.read() == {}


def test_a_process_that_left_the_pool_has_no_file_open(executor: Executor) -> None:
    clocks = WorkerClocks(executor)
    clocks.read()
    kept = files_of(executor)
    first = next(iter(executor._processes))
    left = executor._processes.pop(first)
    assert clocks.read().keys() == executor._processes.keys()
    executor._processes[first] = left
    assert files_of(executor) == kept // 2
    clocks.close()


def test_files_are_closed_when_the_pool_is_gone(executor: Executor) -> None:
    """Records of its jobs keep the clocks for longer than the pool lives."""
    gone = Executor(executor._processes)
    clocks = WorkerClocks(gone)
    clocks.read()
    assert files_of(executor)
    del gone
    assert files_of(executor) == 0
    assert clocks.read() == {}


@pytest.mark.parametrize("at", [1, 2])
def test_what_is_read_while_another_thread_closes_is_closed_too(
    executor: Executor, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    clocks = WorkerClocks(executor)
    plain, asked = process_clocks._File, []

    def opened(process_id: int, name: str) -> int:
        asked.append(process_id)
        if len(asked) == at:
            clocks.close()  # as `stop` may, just then
        return plain(process_id, name)

    monkeypatch.setattr(process_clocks, "_File", opened)
    clocks.read()
    assert asked
    assert files_of(executor) == 0
