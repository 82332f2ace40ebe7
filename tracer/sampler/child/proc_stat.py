"""How much CPU time each process of the machine has used, as far as /proc shows it.

Runs in the sampler's process, so it imports nothing of ours. Of a process only its name is read, never
its arguments.
"""

import os
from typing import NamedTuple

_MOST = 16_384


class Process(NamedTuple):
    """What /proc/PID/stat says of a process, or of one of its threads."""

    name: bytes  # as the kernel has it, at most 15 bytes
    ticks: int  # of CPU time, of all its threads
    threads: int
    cpu: int  # on which its first thread ran last
    started: int
    parent: int = 0
    group: int = 0


class Used(NamedTuple):
    """CPU time of one process."""

    ns: int
    since_ns: int  # when it began, or was looked at before


class Reading(NamedTuple):
    """All processes at one moment."""

    at_ns: int
    processes: dict[int, Process]
    used: dict[int, Used]  # since the reading before; of the first one, nothing


class Processes:
    """All processes below `root`/proc but one, whose threads are known better. Never raises OSError."""

    def __init__(self, but: int, root: str = "/") -> None:
        self._folder = f"{root.rstrip('/')}/proc"
        self._but = but

    def read(self) -> "dict[int, Process]":
        """Every process by its id. Costs about 10 µs for each."""
        found: dict[int, Process] = {}
        try:
            names = os.listdir(self._folder)
        except OSError:
            return found
        for name in names:
            if name.isdigit() and int(name) != self._but and len(found) < _MOST:
                process = stat_of(read_stat(f"{self._folder}/{name}/stat"))
                if process is not None:
                    found[int(name)] = process
        return found

    def busy_ticks(self) -> "dict[int, int]":
        """By CPU: ticks that it was not idle, for whomever; not counting what a hypervisor took."""
        return busy_of(read_stat(f"{self._folder}/stat", 262_144))


def stat_of(text: bytes) -> "Process | None":
    """Pure: the content of a stat file; None where it is none. The name may have brackets and blanks."""
    begin, end = text.find(b"("), text.rfind(b")")
    words = text[end + 2 :].split()
    if not 0 < begin < end or len(words) < 37:
        return None
    try:
        return Process(
            text[begin + 1 : end], int(words[11]) + int(words[12]), int(words[17]), int(words[36]), int(words[19]),
            int(words[1]), int(words[2]),
        )  # fmt: skip
    except ValueError:
        return None


def is_sibling(one: Process, own_id: int, own: Process) -> bool:
    """Pure: whether it works beside `own`: of the same name and process group, started by it or by its parent."""
    same = one.name == own.name and one.group == own.group
    return same and one.parent in (own_id, own.parent) and one.parent > 1


def busy_of(text: bytes) -> "dict[int, int]":
    """Pure: /proc/stat, by CPU: user, nice, system, irq and softirq ticks."""
    found = {}
    for line in text.splitlines():
        words = line.split()
        if not words or not words[0].startswith(b"cpu"):
            break
        number = words[0][3:]
        if number.isdigit() and len(words) >= 8:
            found[int(number)] = sum(int(words[at]) for at in (1, 2, 3, 6, 7))
    return found


def used_ticks(before: "dict[int, Process]", after: "dict[int, Process]") -> "dict[int, int]":
    """Pure: the ticks that each process used between two readings; one that began since used all of its own."""
    used = {}
    for number, process in after.items():
        known = before.get(number)
        begun = known is None or known.started != process.started
        ticks = process.ticks - (0 if begun or known is None else known.ticks)
        if ticks > 0:
            used[number] = ticks
    return used


def read_stat(path: str, size: int = 1_024) -> bytes:
    """The first bytes of a file; none where it cannot be read, or is gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(fd, size)
    except OSError:
        return b""
    finally:
        os.close(fd)
