"""How often process pools are looked at, whatever a sweep over all threads costs."""

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.tracer.conftest import Traced
from tests.tracer.probes.process_pool.process_work import nap
from whywait import phase
from whywait.tracer.hotpath import recorder
from whywait.tracer.sampler.shared.pool_table import PLACES
from whywait.tracer.sampler.shared.thread_records import RECORD, RECORDS

SPAWN = multiprocessing.get_context("spawn")
TICKING, SECONDS = 80, 1.0


def test_a_busy_pool_is_looked_at_between_dear_sweeps(traced_to: Callable[..., Traced]) -> None:
    over = threading.Event()

    def tick() -> None:
        while not over.wait(0.002):
            pass

    threads = [threading.Thread(target=tick) for _ in range(TICKING)]
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        pool.submit(nap, 0.1).result()
        spans = traced_to().sampled()
        for thread in threads:
            thread.start()
        try:
            time.sleep(SECONDS / 2)  # the sampler has learnt what a sweep costs now
            assert recorder.active is not None
            sampler = recorder.active.sampler
            assert sampler is not None
            before = sampler.header()
            with phase("root"):
                pool.submit(nap, SECONDS).result()
            after = sampler.header()
            written = sampler.records(before.written % RECORDS, after.written % RECORDS)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        spans.stop()
    looks = sum(count for *_, tid, _, count, _, _ in RECORD.iter_unpack(written) if tid & PLACES)
    sweeps = after.sweeps - before.sweeps
    if after.period_ns < 15_000_000:
        pytest.skip(f"sweeps are cheap here: one each {after.period_ns / 1e6:.0f} ms")
    assert looks > 1.5 * sweeps
