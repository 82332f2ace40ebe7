"""The table by which the sampler learns of process pools, and what it reads of them."""

import ctypes
import mmap
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from tests.tracer.probes.process_pool.process_work import nap
from whywait.tracer.host.process_clocks import places_at
from whywait.tracer.sampler.child.pool_sweeps import PoolSweeps
from whywait.tracer.sampler.child.record_writer import Ring
from whywait.tracer.sampler.shared.pool_table import POOLS, WatchTable
from whywait.tracer.sampler.shared.thread_records import HEADER_SIZE, RECORD, RUNNING, SIZE, WATCH_AT

SPAWN = multiprocessing.get_context("spawn")
STATE = 4


class Sampled:
    """This process, with a sampler that is asked by hand."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory, self.ring = memory, Ring(memory)
        self.table = WatchTable(memory, WATCH_AT)
        self.sweeps = PoolSweeps(os.getpid(), memory, self.ring, lambda _: (STATE, 0))

    def records(self) -> list[tuple[Any, ...]]:
        """Whose each is, and its state and number."""
        written = self.memory[HEADER_SIZE : HEADER_SIZE + self.ring.written * RECORD.size]
        return [(tid, state, number) for *_, tid, _, _, state, number in RECORD.iter_unpack(written)]


@pytest.fixture
def sampled() -> Iterator[Sampled]:
    with mmap.mmap(-1, SIZE) as memory:
        made = Sampled(memory)
        yield made
        with suppress(OSError):  # the test may have closed them
            made.sweeps.close()


def test_the_latest_pools_are_sampled(sampled: Sampled) -> None:
    keys = [sampled.table.new_key() for _ in range(POOLS + 1)]
    assert len(set(keys)) == POOLS + 1
    here = ctypes.c_int32(3)
    for key in keys:
        sampled.table.show(key, ctypes.addressof(here), [], busy=True)
    sampled.sweeps.sweep()
    sampled.sweeps.close()
    assert {(key, number) for key, _, number in sampled.records()} == {(key, 3) for key in keys[1:]}


def test_a_pool_is_sampled_while_it_is_busy_and_in_the_table(sampled: Sampled) -> None:
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        list(pool.map(nap, [0.3] * 2))
        key, at, workers = sampled.table.new_key(), places_at(pool), list(pool._processes)
        assert sampled.sweeps.next_ns(1) == 0
        sampled.table.show(key, at, workers, busy=False)
        sampled.sweeps.sweep()
        assert sampled.sweeps.next_ns(1) > 1
        sampled.table.show(key, at, [*workers, *[2**22] * 100], busy=True)  # too many for it, and no processes
        sampled.sweeps.sweep()
        sampled.sweeps.sweep()
        assert sampled.records() == []  # they go on
        sampled.table.show(key, at, workers, busy=False)
        sampled.sweeps.sweep()
        sampled.sweeps.sweep()
        assert len(sampled.records()) == 3
        places = pool._call_queue._maxsize
        assert set(sampled.records()) == {(key, RUNNING, places), *((worker, STATE, 0) for worker in workers)}
