"""Programs whose request is ready to run, and lacks the GIL or a CPU; and calls of a device."""

import asyncio
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import whywait
from benchmarks.observed.in_threads import in_worker
from benchmarks.observed.program import Loop, loop_program, program
from testbed.recorded_device import RecordedDevice
from whywait import phase
from whywait.tracer.adapters import Rule

CPU_S = 0.08
HOGS = 2


def work() -> int:
    """Computes for a known CPU time; returns the wall time it took beyond that, ns."""
    wall_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
    end_ns = cpu_ns + int(CPU_S * 1e9)
    while time.thread_time_ns() < end_ns:
        sum(range(200))
    return time.perf_counter_ns() - wall_ns - (time.thread_time_ns() - cpu_ns)


@contextmanager
def hogged_gil() -> Iterator[None]:
    ended = threading.Event()

    def hog() -> None:
        while not ended.is_set():
            sum(range(2_000))
        time.sleep(1.5)  # as a thread of a service it outlives the request; its name is asked for later

    threads = [threading.Thread(target=hog, name="the hog") for _ in range(HOGS)]
    for one in threads:
        one.start()
    try:
        yield
    finally:
        ended.set()


@loop_program("gil_wait", "gil_wait", culprit="hog")
async def gil_wait() -> int:
    await in_worker("warm-up", lambda: 0)
    with hogged_gil():
        return await in_worker("gil_wait", work)


@loop_program("gil_wait (on the loop)", "gil_wait", culprit="hog")
async def gil_wait_on_loop() -> int:
    with hogged_gil():
        await asyncio.sleep(0.01)
        with phase("gil_wait (on the loop)"):
            return work()


@contextmanager
def hogged_cpu() -> Iterator[None]:
    """All threads of this process share one CPU with processes that never rest."""
    before = os.sched_getaffinity(0)
    one = max(before)
    code = f"import os\nos.sched_setaffinity(0, {{{one}}})\nprint(flush=True)\nwhile True: pass"
    hogs = [subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE, env={}) for _ in range(HOGS)]
    for hog in hogs:
        assert hog.stdout is not None
        hog.stdout.readline()
    _pin({one})
    try:
        yield
    finally:
        _pin(before)
        for hog in hogs:
            hog.kill()
            hog.communicate()


def _pin(processors: set[int]) -> None:
    for thread in threading.enumerate():
        if thread.native_id is not None:
            os.sched_setaffinity(thread.native_id, processors)


@loop_program("cpu_wait", "cpu_wait", culprit="process python")
async def cpu_wait() -> int:
    await in_worker("warm-up", lambda: 0)
    with hogged_cpu():
        return await in_worker("cpu_wait", work)


@loop_program("cpu_wait (on the loop)", "cpu_wait", culprit="process python")
async def cpu_wait_on_loop() -> int:
    with hogged_cpu():
        await asyncio.sleep(0.01)
        with phase("cpu_wait (on the loop)"):
            return work()


RECORDED = "a recorded device, no real one"


def _device(name: str, word: str, of: Callable[[int, int, int], int], culprit: str = "") -> None:
    """Two calls at once of one device: the second is the request's."""

    def run(_: Loop) -> int:
        device = RecordedDevice(tells=True)
        module = types.ModuleType(f"lib_{name}")
        sys.modules[module.__name__] = module

        def predict(milliseconds: float) -> None:
            device.work(milliseconds)

        module.__dict__["predict"] = predict
        whywait.adapters.register(module.__name__, {f"{module.__name__}.predict": Rule(word, device=lambda _: device)})
        asked: dict[str, int] = {}

        def call(number: int) -> None:
            threading.current_thread().name = f"{name} {number}"
            time.sleep(0.01 * number)
            with phase(name if number else "another request"):
                asked[threading.current_thread().name] = time.perf_counter_ns()
                module.predict(60)

        try:
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(call, range(2)))
        finally:
            whywait.adapters.unregister(module.__name__)
            del sys.modules[module.__name__]
        last = f"{name} 1"
        return of(asked[last], *device.worked[last])

    program(name, name.partition(" ")[0], culprit=culprit, note=RECORDED)(run)


_device("gpu_queue", "compute", lambda asked, began, _: began - asked, "predict")
_device("gpu_compute", "compute", lambda _, began, ended: ended - began)
_device("gpu_copy", "host-to-device", lambda _, began, ended: ended - began)
