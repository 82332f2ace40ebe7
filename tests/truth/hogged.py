"""Requests of one job whose loop shares its CPU with a hog of higher priority; prints what they saw.

    python -m tests.truth.hogged OUTPUT

Prints one JSON list: for each request the milliseconds from the job's end to the use of its result.
"""

import asyncio
import json
import os
import subprocess
import sys
import time

import tracer

REQUESTS, ENOUGH_MS, JOB_S = 80, 80, 0.03
HOG = "import os\nos.sched_setaffinity(0, {%d})\nwhile True: pass"


def nap() -> int:
    time.sleep(JOB_S)
    return time.perf_counter_ns()


async def victim() -> float:
    with tracer.phase("victim"):
        done_ns = await asyncio.get_running_loop().run_in_executor(None, nap)
        return (time.perf_counter_ns() - done_ns) / 1e6


async def main(processor: int) -> list[float]:
    await victim()  # the worker is there, on any CPU, before the loop's thread is tied to one
    os.sched_setaffinity(0, {processor})
    hog = subprocess.Popen([sys.executable, "-c", HOG % processor])
    try:
        os.setpriority(os.PRIO_PROCESS, 0, 15)  # on Linux of this thread alone
        await asyncio.sleep(0.3)
        seen: list[float] = []
        while sum(seen) < ENOUGH_MS and len(seen) < REQUESTS:  # the scheduler often lets who wakes go first
            seen.append(await victim())
        return seen
    finally:
        hog.kill()
        hog.wait()


if __name__ == "__main__":
    tracer.start("hogged", output=sys.argv[1])
    time.sleep(0.5)  # the sampler has learnt where to look
    seen = asyncio.run(main(max(os.sched_getaffinity(0))))
    tracer.stop()
    print(json.dumps(seen))
