"""The table by which the sampler learns of process pools, and what it reads of their pipes."""

import mmap
import os
from pathlib import Path

import pytest

from whywait.tracer.sampler.child.pool_sweeps import PoolSweeps, bytes_in
from whywait.tracer.sampler.child.record_writer import Ring
from whywait.tracer.sampler.pool_table_writer import PoolTable
from whywait.tracer.sampler.shared.pool_table import PIPE
from whywait.tracer.sampler.shared.thread_records import HEADER_SIZE, RECORD, SIZE, WATCH_AT


def test_rows_come_and_go() -> None:
    with mmap.mmap(-1, SIZE) as memory:
        table, ring = PoolTable(memory, WATCH_AT), Ring(memory)
        sweeps = PoolSweeps(os.getpid(), memory, ring, lambda _: (0, 0))
        keys = [next(table.keys) for _ in range(1_000)]
        for key in keys:  # more than there is room for
            table.show(key, (1, 2, 3, 4, 101, 102))
        sweeps.sweep()
        assert len(sweeps.pools) > 100
        for key in keys:
            table.show(key, ())
        sweeps.sweep()
        assert not sweeps.pools
        sweeps.close()
        table.close()
        table.show(keys[0], (1, 2, 3, 4))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no descriptors shown")
def test_the_bytes_in_a_pool_s_pipes_are_read() -> None:
    with mmap.mmap(-1, SIZE) as memory:
        (calls, put), (results, hand_back) = os.pipe(), os.pipe()
        table, ring = PoolTable(memory, WATCH_AT), Ring(memory)
        sweeps = PoolSweeps(os.getpid(), memory, ring, lambda _: (0, 0))
        table.show(PIPE, (calls, os.fstat(calls).st_ino, results, os.fstat(results).st_ino))
        os.write(put, b"call")
        sweeps.sweep()
        os.read(calls, 4)
        os.write(hand_back, b"result")
        sweeps.sweep()
        sweeps.close()
        table.close()
        records = RECORD.iter_unpack(memory[HEADER_SIZE : HEADER_SIZE + ring.written * RECORD.size])
        found = [(tid, number) for *_, tid, _, _, _, number in records]
        assert sorted(found) == [(PIPE, 0), (PIPE, 4), (PIPE + 1, 0), (PIPE + 1, 6)]
        # a descriptor that has become another's is left alone, and no end of a pipe is kept open
        folder = os.open("/proc/self/fd", os.O_RDONLY)
        with pytest.raises(FileNotFoundError):
            bytes_in(folder, str(calls), os.fstat(results).st_ino)
        os.close(calls)
        with pytest.raises(BrokenPipeError):
            os.write(put, b"more")
        for fd in (put, results, hand_back, folder):
            os.close(fd)
