"""A pool of processes that has begun to work before any shape does."""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

_kept: list[ProcessPoolExecutor] = []


def warm_processes() -> ProcessPoolExecutor:
    """The one pool, its workers started; made by the first call."""
    if not _kept:
        _kept.append(ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")))
        _kept[0].submit(time.sleep, 0).result()
    return _kept[0]


def close() -> None:
    """Ends its processes."""
    while _kept:
        _kept.pop().shutdown()
