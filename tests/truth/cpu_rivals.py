"""Requests that wait for a CPU for a reason that is known; prints the truth.

    python -m tests.truth.cpu_rivals neighbour|native|quota|alone OUTPUT

Prints one JSON object, in milliseconds by the kernel's counters: how long the threads that did the work
waited for a CPU, and what is known of those who had it. Others may be busy on the machine too.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import whywait
from tests.kernel import GROUPS, quota_group, run_queue_ns, write

REQUESTS, JOB_S, AT_ONCE = 25, 0.02, 4
HOG = """
import os, sys
open("/proc/self/comm", "w").write(sys.argv[1])
os.sched_setaffinity(0, {int(sys.argv[2])})
print(flush=True)
while True: pass
"""
QUOTA_US, PERIOD_US = 30_000, 100_000


def burn() -> None:
    until = time.thread_time() + JOB_S
    while time.thread_time() < until:
        pass


@contextmanager
def neighbours() -> Iterator[Callable[[], float]]:
    """Two processes on the CPU that the requests are tied to, and a busy bystander on another one.

    Yields what tells the CPU time of the two.
    """
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[-1]})
    hogs = [("crunch", cpus[-1]), ("crunch", cpus[-1]), ("bystander", cpus[0])]
    running = [
        subprocess.Popen([sys.executable, "-c", HOG, name, str(cpu)], stdout=subprocess.PIPE) for name, cpu in hogs
    ]
    try:
        for one in running:  # until it is in place it is where this process is
            assert one.stdout is not None
            one.stdout.readline()
        time.sleep(0.3)
        yield lambda: sum(_cpu_ms(one.pid) for one in running[:2])
    finally:
        for one in running:
            one.kill()
            one.communicate()


@contextmanager
def quota() -> Iterator[Callable[[], float]]:
    """A group with three tenths of a CPU, for this process and all that it starts."""
    with quota_group(QUOTA_US, PERIOD_US) as group:
        # what it may have it gets at once: it waits for its quota and for nobody
        write(f"{group}/cpu.shares", 100_000)
        write(f"{group}/cgroup.procs", os.getpid())

        def throttled_ms() -> float:
            with open(f"{group}/cpu.stat") as file:
                return int(dict(line.split() for line in file)["throttled_time"]) / 1e6

        try:
            yield throttled_ms
        finally:
            write(f"{GROUPS}/cgroup.procs", os.getpid())


def _cpu_ms(process_id: int) -> float:
    with open(f"/proc/{process_id}/schedstat") as file:
        return int(file.read().split()[0]) / 1e6


def _busy_ms() -> float:
    with open("/proc/stat") as file:
        ticks = [int(word) for word in file.readline().split()[1:]]
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK") * 1e3


def native_work() -> Callable[[], Any]:
    """Predicts of a model that asks for more threads than there are CPUs."""
    import numpy as np
    import xgboost as xgb

    rows = np.random.default_rng(1).random((20_000, 20))
    data = xgb.DMatrix(rows[:500], label=rows[:500, 0])
    booster = xgb.train({"max_depth": 8, "verbosity": 0, "nthread": 1}, data, 80)
    booster.set_param({"nthread": 8})
    booster.inplace_predict(rows)
    return lambda: booster.inplace_predict(rows)


def timed(work: Callable[[], Any]) -> Callable[[], float]:
    def work_and_tell() -> float:
        before_ns = run_queue_ns()
        work()
        return (run_queue_ns() - before_ns) / 1e6

    return work_and_tell


def serve(work: Callable[[], Any], at_once: int, requests: int = REQUESTS) -> float:
    """Milliseconds for which the workers waited for a CPU, in all requests together."""
    waited = 0.0
    job = timed(work)
    with ThreadPoolExecutor(at_once) as pool:
        for _ in range(requests):
            with whywait.phase("request"):
                waited += sum(one.result() for one in [pool.submit(job) for _ in range(at_once)])
    return waited


def main(mode: str, output: str) -> dict[str, float]:
    truth: dict[str, float] = {}
    if mode == "quota":
        with quota() as throttled_ms:
            start(output)
            before = throttled_ms()
            truth["run_queue_ms"] = serve(burn, 1, 15)
            truth["throttled_ms"] = throttled_ms() - before
            whywait.stop()
        return truth
    work = native_work() if mode == "native" else burn
    start(output)
    if mode == "neighbour":
        with neighbours() as used_ms:
            began, before, own = time.perf_counter(), used_ms(), time.process_time()
            truth["run_queue_ms"] = serve(work, 1)
            truth["crunch_ms"] = used_ms() - before
            truth["others_ms"] = (time.perf_counter() - began - time.process_time() + own) * 1e3
    else:
        busy, own = _busy_ms(), time.process_time()
        truth["run_queue_ms"] = serve(work, AT_ONCE if mode == "native" else 1)
        truth["own_ms"] = (time.process_time() - own) * 1e3
        truth["busy_ms"] = _busy_ms() - busy
    whywait.stop()
    return truth


def start(output: str) -> None:
    whywait.start("rivals", output=output)
    time.sleep(0.6)  # the sampler has learnt where to look


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
