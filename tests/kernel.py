"""What the kernel says and does, asked apart from the tracer. Light: workers of pools import it."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

GROUPS = "/sys/fs/cgroup/cpu"  # of version 1


def run_queue_ns() -> int:
    """How long the calling thread was runnable without a CPU since it began; 0 where the kernel does not say."""
    try:
        with open("/proc/thread-self/schedstat") as file:
            return int(file.read().split()[1])
    except OSError:
        return 0


@contextmanager
def quota_group(quota_us: int, period_us: int) -> Iterator[str]:
    """The folder of a group with so much of a CPU, which is removed once all have left it. Raises OSError."""
    folder = f"{GROUPS}/whywait-test-{os.getpid()}"
    os.mkdir(folder)
    try:
        write(f"{folder}/cpu.cfs_period_us", period_us)
        write(f"{folder}/cpu.cfs_quota_us", quota_us)
        yield folder
    finally:
        for _ in range(100):  # whoever was started in it leaves it by ending
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.05)


def write(path: str, value: int) -> None:
    """Sets what a file of the kernel's stands for."""
    with open(path, "w") as file:
        file.write(str(value))
