"""Requests of one job whose loop shares its CPU with a hog of higher priority; prints what they saw.

    python -m tests.truth.hogged OUTPUT

Prints one JSON list: for each request when its job's result was used, in ns since 1970.
"""

import asyncio
import json
import os
import subprocess
import sys
import time

import whywait

REQUESTS, ENOUGH_MS, JOB_S = 80, 80, 0.03
HOG = "import os\nos.sched_setaffinity(0, {%d})\nwhile True: pass"


def nap() -> int:
    time.sleep(JOB_S)
    return time.perf_counter_ns()


async def victim() -> tuple[int, float]:
    """When the result was used, and how long that was after it was there, in ms."""
    with whywait.phase("victim"):
        done_ns = await asyncio.get_running_loop().run_in_executor(None, nap)
        return time.time_ns(), (time.perf_counter_ns() - done_ns) / 1e6


async def main(processor: int) -> list[int]:
    await victim()  # the worker is there, on any CPU, before the loop's thread is tied to one
    os.sched_setaffinity(0, {processor})
    hog = subprocess.Popen([sys.executable, "-c", HOG % processor])
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 15)  # on Linux of this thread alone
        await asyncio.sleep(0.3)
        used_ns: list[int] = []
        late_ms = 0.0
        while late_ms < ENOUGH_MS and len(used_ns) < REQUESTS:  # the scheduler often lets who wakes go first
            at_ns, ms = await victim()
            used_ns.append(at_ns)
            late_ms += ms
        return used_ns
    finally:
        hog.kill()
        hog.wait()


if __name__ == "__main__":
    whywait.start("hogged", output=sys.argv[1])
    time.sleep(0.5)  # the sampler has learnt where to look
    used_ns = asyncio.run(main(max(os.sched_getaffinity(0))))
    whywait.stop()
    print(json.dumps(used_ns))
