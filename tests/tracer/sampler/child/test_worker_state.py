"""The table by which the sampler learns of process pools, and what it reads of their workers."""

import mmap
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from tests.tracer.probes.process_pool.process_work import nap
from whywait.tracer.host.process_pool_pipes import pipes_of
from whywait.tracer.sampler.child.worker_state import Pools, semaphores_in
from whywait.tracer.sampler.pool_table_writer import WatchTable
from whywait.tracer.sampler.shared.pool_table import IDLE, POOLS, ROW, WATCH_SIZE, Watched, pack, unpack

SPAWN = multiprocessing.get_context("spawn")
MAPS = """\
7f47759bb000-7f47759bc000 rw-s 00000000 00:1b 28540                      /dev/shm/sem.mp-0x7hd_9f
7f47759bc000-7f47759bd000 rw-s 00000000 00:1b 28539                      /dev/shm/sem.i4Zoil (deleted)
7f4775b10000-7f4775b11000 rw-s 00000000 00:1b 28538                      /dev/shm/something-else
7f4775b11000-7f4775b12000 r-xp 00000000 00:1b 28537
"""


def test_a_row_is_read_as_it_was_written() -> None:
    row = Watched(1, 2, 3, 4, 5, 6, 7, (101, 102))
    assert unpack(ROW.unpack(pack(row))) == row
    assert len(unpack(ROW.unpack(pack(row._replace(workers=tuple(range(1, 100)))))).workers) == 32


def test_semaphores_by_address() -> None:
    assert semaphores_in(MAPS) == {0x7F47759BB000: 28540, 0x7F47759BC000: 28539}


def test_rows_are_given_back() -> None:
    with mmap.mmap(-1, WATCH_SIZE) as memory, ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        table = WatchTable(memory, 0)
        seen = Pools(os.getpid(), memory, 0)
        rows = [table.add(pipes_of(pool)) for _ in range(POOLS)]
        assert table.add(pipes_of(pool)) is None
        seen.read()
        assert len(seen.pools) == POOLS
        rows.clear()
        seen.read()
        assert seen.pools == []
        assert table.add(pipes_of(pool)) is not None
        table.close()


def _state(seen: Pools, watched: Watched, worker: int) -> int:
    with open(f"/proc/{worker}/syscall", "rb") as file:
        return seen.state(watched, worker, 0, file.read().split(None, 2))


@pytest.mark.skipif(not os.path.exists("/proc/self/syscall"), reason="no system calls shown")
def test_idle_workers_are_known_by_what_they_wait_in() -> None:
    with mmap.mmap(-1, WATCH_SIZE) as memory, ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        list(pool.map(nap, [0.3] * 2))
        workers = list(pool._processes)
        table = WatchTable(memory, 0)
        row = table.add(pipes_of(pool))
        assert row is not None
        row.workers(workers)
        seen = Pools(os.getpid(), memory, 0)
        seen.read()
        (watched,) = seen.pools
        assert seen.places(watched) == pool._call_queue._maxsize
        assert watched.taking_at & -mmap.PAGESIZE in semaphores_in(Path("/proc/self/maps").read_text())
        # one reads the pipe, the other waits for the lock around that, once it is up
        deadline = time.monotonic() + 20
        while (states := [_state(seen, watched, worker) for worker in workers]) != [IDLE, IDLE]:
            assert time.monotonic() < deadline, states
            time.sleep(0.05)
        assert not watched.busy
        row.busy(True)
        seen.read()
        assert seen.pools[0].busy
        table.close()
        seen.close()
