"""A service that starts child processes when it is told to: python -m benchmarks.spawn.program LOOP HEAP_MIB.

It reads one JSON command per line, and answers with one line.
"""

import asyncio
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import fastapi  # what a service has in memory at least
import uvicorn
import uvloop

PAGE = 4_096
_ = fastapi, uvicorn


async def execs() -> float:
    start_s = time.perf_counter()
    child = await asyncio.create_subprocess_exec("/bin/true")
    took_s = time.perf_counter() - start_s
    await child.wait()
    return took_s


async def execs_with_preexec_fn() -> float:
    start_s = time.perf_counter()
    child = subprocess.Popen(["/bin/true"], preexec_fn=os.getpgrp)
    took_s = time.perf_counter() - start_s
    child.wait()
    return took_s


async def forks() -> float:
    """Until the child's first line of Python has run."""
    start_s = time.perf_counter()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return time.perf_counter() - start_s


async def runs_python() -> float:
    start_s = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - start_s


async def runs_python_cpu() -> float:
    """The CPU that it used, which other work on the machine disturbs less than its time."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    used = os.wait4(child.pid, 0)[2]
    child.returncode = 0
    return used.ru_utime + used.ru_stime


KINDS: dict[str, Callable[[], Awaitable[float]]] = {
    one.__name__: one for one in (execs, execs_with_preexec_fn, forks, runs_python, runs_python_cpu)
}


def rest() -> dict[str, Any]:
    """What a host could notice."""
    files = []
    for number in os.listdir("/proc/self/fd"):
        try:
            files.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    with open("/proc/self/status", encoding="ascii") as status:
        said = dict(line.split(":", 1) for line in status)
    caught = int(said["SigCgt"], 16)
    return {
        "threads": sorted(one.name for one in threading.enumerate()), "tasks": len(os.listdir("/proc/self/task")),
        "files": sorted(files), "handlers": [one.name for one in signal.Signals if caught >> one - 1 & 1],
        "modules": len(sys.modules), "memory_mib": int(said["VmRSS"].split()[0]) / 1_024, "garbage": gc.get_threshold(),
    }  # fmt: skip


async def answer(command: dict[str, Any]) -> Any:
    if command["do"] == "rest":
        return rest()
    return [await KINDS[command["do"]]() for _ in range(command["times"])]


async def main(heap: bytearray) -> None:
    loop = asyncio.get_running_loop()
    print(len(heap), flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    heap = bytearray(int(sys.argv[2]) << 20)
    heap[::PAGE] = b"x" * len(heap[::PAGE])  # each page is in memory
    (uvloop if sys.argv[1] == "uvloop" else asyncio).run(main(heap))
