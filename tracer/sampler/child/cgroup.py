"""A process's CPU quota by its control groups, and their throttling.

Imports no other module of whywait. Any group from the process's own up to the highest visible one may have a quota:

    v2   /sys/fs/cgroup/a/b          cpu.max "50000 100000"       cpu.stat nr_throttled, throttled_usec
    v1   /sys/fs/cgroup/cpu/a/b      cpu.cfs_quota_us, _period_us cpu.stat nr_throttled, throttled_time (ns)
"""

import os
from collections.abc import Callable
from typing import NamedTuple

_MOST_LEVELS = 16
_LATE_NS = 2_000_000  # a sweep that comes so late may have been held back with those it samples


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


class Throttling:
    """Calls `tell` with the beginning and the end of each stretch in which the quota had run out; they come in order of
    time and do not overlap. The kernel counts exactly, as it lets a CPU go on (`unthrottle_cfs_rq`), so what was counted
    between two readings ended between them. Never raises OSError."""

    def __init__(self, groups: CpuGroups, tell: Callable[[int, int], None]) -> None:
        self.groups = groups
        self._tell = tell
        self._told_ns = self._looked_ns = 0
        self._seen = Throttled(0, 0)
        self.find()

    def find(self) -> None:
        """Looks where the process is now; to be called again now and then."""
        if self.groups.find():
            self._seen = self.groups.throttled()

    def look(self, due_ns: int, now_ns: int) -> None:
        """Called as a sweep begins that was due at `due_ns`. Costs nothing where there is no quota."""
        late = now_ns - due_ns >= _LATE_NS
        if not late and not self.groups.quota.period_ns:
            return
        now, before = self.groups.throttled(), self._seen
        self._seen = now
        if now.ns > before.ns:
            # who is held back in the same group goes on at the same moment as those it samples
            end_ns = now_ns if late or not self._looked_ns else (self._looked_ns + now_ns) // 2
            length_ns = withheld_ns(self.groups.quota, now.periods - before.periods, now.ns - before.ns)
            start_ns = max(end_ns - length_ns, self._told_ns)
            if start_ns < end_ns:
                self._tell(start_ns, end_ns)
                self._told_ns = end_ns
        self._looked_ns = now_ns

    def close(self) -> None:
        self.groups.close()


def withheld_ns(quota: Quota, periods: int, cpu_ns: int) -> int:
    """Pure: for how long all was held back that added up to `cpu_ns`: in each period in which the quota ran out, as
    many at once used it up or were held back, all of the time."""
    if not quota.period_ns:
        return cpu_ns
    at_once = (cpu_ns / max(periods, 1) + quota.quota_ns) / quota.period_ns
    return int(cpu_ns / max(at_once, 1.0))


def hierarchy(of_process: str, mounts: str) -> Hierarchy:
    """Pure: where the CPU controller is; version 1 where it is mounted so, else 2; 0: there is none."""
    paths = dict(filter(None, map(_group, of_process.splitlines())))
    mounted = dict(filter(None, map(_mount, reversed(mounts.splitlines()))))
    version = min(paths.keys() & mounted.keys(), default=0)
    if not version:
        return Hierarchy(0, ())
    root, where = map(_plain, mounted[version])
    return Hierarchy(version, _upwards(where, _below(root, paths[version])))


def _group(line: str) -> "tuple[int, str] | None":
    """By the version, the path of a group that has the CPU controller."""
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    if "cpu" in controllers.split(","):
        return 1, path
    return (2, path) if number == "0" and not controllers else None


def _mount(line: str) -> "tuple[int, list[str]] | None":
    """By the version, which group is mounted, and where."""
    left, _, right = line.partition(" - ")
    where, what = left.split(" ")[3:5], right.split(" ")
    if len(where) < 2 or len(what) < 3:
        return None
    if what[0] == "cgroup2":
        return 2, where
    return (1, where) if what[0] == "cgroup" and "cpu" in what[2].split(",") else None


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
