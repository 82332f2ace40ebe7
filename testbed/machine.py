"""Who used this machine's CPUs: a program with all that it started, and all others."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter

_TICKS = os.sysconf("SC_CLK_TCK")


def others_since_now() -> Callable[[], float]:
    """Return what tells how many CPUs, on average, programs that this one did not start have used since now."""
    began, all_s, ours_s = perf_counter(), *_cpu_s()

    def used() -> float:
        all_after_s, ours_after_s = _cpu_s()
        return (all_after_s - all_s - ours_after_s + ours_s) / (perf_counter() - began)

    return used


def _cpu_s() -> tuple[float, float]:
    """The CPU time that the machine used so far, and of it this process and all that it started, s.

    What a hypervisor took counts as used.
    """
    used = list(map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9]))
    own, parents = dict[int, float](), dict[int, int]()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        own[int(folder.name)], parents[int(folder.name)] = sum(map(int, said[11:15])) / _TICKS, int(said[1])
    return (sum(used) - used[3] - used[4]) / _TICKS, sum(own[one] for one in own if _is_ours(one, parents))


def _is_ours(process: int, parents: Mapping[int, int]) -> bool:
    while process in parents and process != os.getpid():
        process = parents[process]
    return process == os.getpid()
