"""A process's CPU quota by its control groups, and their throttling.

Imports no other module of whywait. Any group from the process's own up to the highest visible one may have a quota:

    v2   /sys/fs/cgroup/a/b          cpu.max "50000 100000"       cpu.stat nr_throttled, throttled_usec
    v1   /sys/fs/cgroup/cpu/a/b      cpu.cfs_quota_us, _period_us cpu.stat nr_throttled, throttled_time (ns)
"""

import os
from typing import NamedTuple

_MOST_LEVELS = 16


class Hierarchy(NamedTuple):
    """The folders of a process's CPU control groups: from its own up to the mount's."""

    version: int
    folders: "tuple[str, ...]"


class Quota(NamedTuple):
    """The tightest quota on a process, in CPU time per period; both 0 without one."""

    quota_ns: int
    period_ns: int


class Throttled(NamedTuple):
    """Counters over all levels: periods in which the quota ran out, and throttled CPU time."""

    periods: int
    ns: int


class CpuGroups:
    """Reads the groups of one process below `root`, where the machine's file system begins. Never raises OSError."""

    def __init__(self, process_id: int, root: str = "/") -> None:
        self._process_id = process_id
        self._root = root.rstrip("/")
        self._version = 0
        self._folders: tuple[str, ...] = ()
        self._stats: list[int] = []
        self._gone = False  # a group whose file is open is no more; another may have its name
        self.quota = Quota(0, 0)

    def find(self) -> bool:
        """Looks where the process is now, and what its quota is; whether it is elsewhere than before."""
        of_process = read_text(f"{self._root}/proc/{self._process_id}/cgroup")
        mounts = read_text(f"{self._root}/proc/{self._process_id}/mountinfo")
        found = hierarchy(of_process, mounts)
        folders = tuple(self._root + folder for folder in found.folders)
        moved = self._gone or (found.version, folders) != (self._version, self._folders)
        if moved:
            self.close()
            self._gone = False
            self._version, self._folders = found.version, folders
            self._stats = [fd for folder in folders if (fd := _opened(f"{folder}/cpu.stat")) >= 0]
        quotas = [quota for folder in folders if (quota := self._quota(folder)).period_ns > 0]
        self.quota = min(quotas, key=lambda one: one.quota_ns / one.period_ns, default=Quota(0, 0))
        return moved

    def throttled(self) -> Throttled:
        """Return the current counters."""
        periods = ns = 0
        for fd in self._stats:
            try:
                found = stat_of(os.pread(fd, 4_096, 0).decode())
            except (OSError, UnicodeDecodeError):
                self._gone = True
                continue
            periods += found.periods
            ns += found.ns
        return Throttled(periods, ns)

    def _quota(self, folder: str) -> Quota:
        if self._version == 2:
            return quota_v2(read_text(f"{folder}/cpu.max"))
        return quota_v1(read_text(f"{folder}/cpu.cfs_quota_us"), read_text(f"{folder}/cpu.cfs_period_us"))

    def close(self) -> None:
        """Closes what is open; `find` opens it again."""
        for fd in self._stats:
            os.close(fd)
        self._stats, self._folders, self._version = [], (), 0


def hierarchy(of_process: str, mounts: str) -> Hierarchy:
    """Pure: where the CPU controller is; version 1 where it is mounted so, else 2; 0: there is none."""
    paths = {}
    for line in of_process.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "cpu" in controllers.split(","):
            paths[1] = path
        elif number == "0" and not controllers:
            paths[2] = path
    for version in (1, 2):
        if version not in paths:
            continue
        for line in mounts.splitlines():
            left, separator, right = line.partition(" - ")
            where, what = left.split(" "), right.split(" ")
            if not separator or len(where) < 5 or len(what) < 3:
                continue
            of_version_1 = what[0] == "cgroup" and "cpu" in what[2].split(",")
            if of_version_1 if version == 1 else what[0] == "cgroup2":
                return Hierarchy(version, _upwards(_plain(where[4]), _below(_plain(where[3]), paths[version])))
    return Hierarchy(0, ())


def stat_of(text: str) -> Throttled:
    """Pure: the counters in a cpu.stat of either version; zeros where it has none."""
    pairs = (line.partition(" ") for line in text.splitlines())
    values = {name: int(value) for name, _, value in pairs if value.strip().isdigit()}
    ns = values["throttled_time"] if "throttled_time" in values else values.get("throttled_usec", 0) * 1_000
    return Throttled(values.get("nr_throttled", 0), ns)


def quota_v2(maximum: str) -> Quota:
    """Return the quota in a cpu.max. Pure."""
    words = maximum.split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return Quota(0, 0)
    return Quota(int(words[0]) * 1_000, int(words[1]) * 1_000)


def quota_v1(quota_us: str, period_us: str) -> Quota:
    """Pure: what cpu.cfs_quota_us (-1: everything) and cpu.cfs_period_us allow."""
    if not quota_us.strip().isdigit() or not period_us.strip().isdigit():
        return Quota(0, 0)
    return Quota(int(quota_us) * 1_000, int(period_us) * 1_000)


def _below(mounted: str, path: str) -> str:
    """The path of a group below its mount: a container may see its own group as the whole."""
    mounted = mounted.rstrip("/")
    if ".." in path.split("/"):  # outside this namespace
        return ""
    if mounted and path != mounted and not path.startswith(f"{mounted}/"):
        return ""
    return path[len(mounted) :].strip("/")


def _upwards(mount: str, below: str) -> "tuple[str, ...]":
    names = below.split("/") if below else []
    found = ["/".join((mount.rstrip("/"), *names[:count])) for count in range(len(names), -1, -1)]
    return tuple(found[:_MOST_LEVELS])


def _plain(path: str) -> str:
    return path.replace("\\040", " ").replace("\\134", "\\")


def read_text(path: str) -> str:
    """The content of a file of the kernel; "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(16_777_216)
    except OSError:
        return ""


def _opened(path: str) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1
