"""Checks how many CPUs this process may use."""

import os

from whywait.tracer.doctor.check import Check, info
from whywait.tracer.doctor.kernel import processors
from whywait.tracer.sampler.child.cgroup import CpuGroups, hierarchy, read_text


def cpu_checks() -> list[Check]:
    """Return the CPUs, the control group's version and quota, and the size of Python's default pool."""
    allowed, of_machine = len(processors()), os.cpu_count() or 1
    version = hierarchy(read_text("/proc/self/cgroup"), read_text("/proc/self/mountinfo")).version
    groups = CpuGroups(os.getpid())
    groups.find()
    quota, throttled = groups.quota, groups.throttled()
    groups.close()
    words = f"{allowed} of {of_machine}"
    found = []
    if version == 0:
        found.append(info("cgroup", "no CPU controller is visible, so there is no quota"))
    elif quota.period_ns == 0:
        found.append(info("cgroup", f"version {version}, no quota"))
    else:
        cpus = quota.quota_ns / quota.period_ns
        words += f", a quota of {cpus:g}"
        found.append(
            info(
                "cgroup",
                f"version {version}, {cpus:g} CPUs per {quota.period_ns / 1e6:g} ms; throttled {throttled.periods:,} "
                f"times for {throttled.ns / 1e9:,.1f} s so far",
            )
        )
    pool = min(32, of_machine + 4)
    return [info("cpus", f"{words}; Python's default thread pool has {pool} threads, from the machine's CPUs"), *found]
