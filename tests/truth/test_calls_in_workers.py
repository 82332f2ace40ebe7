"""A worker that sleeps in C code, as a driver's: the user's function that called it is named, and its line, apart from
those that computed in the same job."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.tracer.conftest import Traced, traced_to
from whywait import analysis, traced
from whywait.analysis.causes import Cause

__all__ = ["traced_to"]
ASLEEP_S, COMPUTES_S = 0.12, 0.06


def prepare() -> None:
    until = time.thread_time() + COMPUTES_S
    while time.thread_time() < until:
        sum(range(500))


def ask(path: Path) -> bytes:
    with path.open("rb") as found:  # waits for who writes
        return found.read()


def handle(path: Path) -> float:
    prepare()
    threading.Timer(ASLEEP_S, path.write_bytes, [b"x"]).start()
    began = time.perf_counter()
    ask(path)
    return time.perf_counter() - began


def test_who_called_into_c_is_named_apart_from_who_computed(traced_to: Callable[..., Traced], tmp_path: Path) -> None:
    path = tmp_path / "answer"
    os.mkfifo(path)
    spans = traced_to()

    @traced
    async def root() -> float:
        with ThreadPoolExecutor(1) as pool:
            return await asyncio.get_running_loop().run_in_executor(pool, handle, path)

    slept_s = asyncio.run(root())
    spans.stop()
    (run,) = spans.of_kind("run")
    assert run["called.names"] == ["ask"]
    assert run["called.files"] == [__file__]
    assert run["called.lines"] == [ask.__code__.co_firstlineno + 1]
    assert run["called.ns"][0] == pytest.approx(slept_s * 1e9, rel=0.15)
    # a look at its stack between two samples of its state may fall to either
    assert run["ran.names"][0] == "prepare"
    assert run["ran.ns"][0] > 0.7 * run["cpu_ns"]
    found = analysis.analyze(spans.output)
    slept = found.culprits[found.culprits["cause"] == Cause.BLOCKING_IO]
    by = slept.groupby("culprit")["ns"].sum()
    assert by["ask"] > 0.9 * by.sum(), by
