"""What the kernel says of the service's process, its sampler and its children."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.sampler_process import samplers_of


@dataclass(frozen=True, slots=True)
class Reading:
    """The service's process, its children and its sampler at one time."""

    at_s: float
    answers: int
    rss_mib: float
    threads: int
    descriptors: int
    children: int
    sampler_mib: float
    traces_mib: float


def read(process_id: int, traces: Path, at_s: float, answers: int) -> Reading:
    """What /proc and the folder of traces say now."""
    status = _status(process_id)
    samplers = samplers_of(process_id)
    return Reading(
        at_s, answers, status["VmRSS"] / 1024, status["Threads"], len(os.listdir(f"/proc/{process_id}/fd")),
        len(Path(f"/proc/{process_id}/task/{process_id}/children").read_text().split()),
        sum(_status(one).get("VmRSS", 0) for one in samplers) / 1024, _folder_mib(traces),
    )  # fmt: skip


def process_of(words: Sequence[str]) -> int:
    """The process whose command line holds all of these words; raises `LookupError` where none does."""
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            said = Path(f"/proc/{name}/cmdline").read_text().split("\0")
        except OSError:
            continue
        if all(word in said for word in words):
            return int(name)
    raise LookupError(f"no process has {' and '.join(words)} in its command line")


def _status(process_id: int) -> dict[str, int]:
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    words = [line.split() for line in lines if line.startswith(("VmRSS:", "Threads:"))]
    return {one[0].rstrip(":"): int(one[1]) for one in words}


def _folder_mib(folder: Path) -> float:
    """Files that go while they are counted count nothing: the folder is turned over as it fills."""
    total = 0
    for one in folder.iterdir():
        try:
            total += one.stat().st_size
        except FileNotFoundError:
            continue
    return total / 2**20
