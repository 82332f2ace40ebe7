"""How much CPU time each process of the machine has used, as far as /proc shows it.

Runs in the sampler's process, so it imports no other module of whywait. Of a process only its name is read, and of an
interpreter's arguments the script or module, never others: they may hold secrets.
"""

import os
from typing import NamedTuple

_MOST = 16_384
_MOST_ARGUMENTS = 8
_INTERPRETERS = (b"python", b"node", b"java", b"ruby", b"perl", b"php")
_SCRIPTS = (b".py", b".js", b".mjs", b".jar", b".rb", b".pl", b".php")


class Process(NamedTuple):
    """What /proc/PID/stat says of a process."""

    name: bytes = b""  # as the kernel has it, at most 15 bytes
    ticks: int = 0  # of CPU time, of all its threads
    started: int = 0
    parent: int = 0
    group: int = 0


class Processes:
    """All processes below `root`/proc. Never raises OSError."""

    def __init__(self, root: str = "/") -> None:
        self._folder = f"{root.rstrip('/')}/proc"

    def read(self) -> "dict[int, Process]":
        """Every process by its id. Costs about 10 µs for each."""
        try:
            numbers = [int(name) for name in os.listdir(self._folder) if name.isdigit()][:_MOST]
        except OSError:
            return {}
        found = {number: stat_of(_read(f"{self._folder}/{number}/stat")) for number in numbers}
        return {number: one for number, one in found.items() if one is not None}

    def name(self, number: int, one: Process) -> bytes:
        """Its name, and of an interpreter what it runs: b"python worker.py"."""
        if not one.name.startswith(_INTERPRETERS):
            return one.name
        script = script_of(_read(f"{self._folder}/{number}/cmdline").split(b"\0"))
        return one.name + b" " + script if script else one.name

    def busy_ticks(self) -> "dict[int, int]":
        """By CPU: ticks that it was not idle, for whomever; not counting what a hypervisor took."""
        return busy_of(_read(f"{self._folder}/stat", 262_144))


def stat_of(text: bytes) -> "Process | None":
    """Pure: the content of a stat file; None where it is none. The name may have brackets and blanks."""
    begin, end = text.find(b"("), text.rfind(b")")
    words = text[end + 2 :].split()
    if not 0 < begin < end or len(words) < 37:
        return None
    try:
        parent, group, user, system, started = (int(words[at]) for at in (1, 2, 11, 12, 19))
    except ValueError:
        return None
    return Process(text[begin + 1 : end], user + system, started, parent, group)


def script_of(arguments: "list[bytes]") -> bytes:
    """Pure: what an interpreter runs, such as b"worker.py", b"-m celery" or b"app.jar"; b"" where it is none of these."""
    before = b""
    for at, word in enumerate(arguments[1:_MOST_ARGUMENTS], start=1):
        if before == b"-m":
            return b"-m " + word if word.replace(b".", b"").replace(b"_", b"").isalnum() else b""
        if before in (b"-c", b"-e"):
            return b""
        if not word.startswith(b"-") and (at == 1 or word.endswith(_SCRIPTS)):
            return word.rpartition(b"/")[2]
        before = word
    return b""


def is_sibling(one: Process, own_id: int, own: Process) -> bool:
    """Whether it is a sibling of `own`: same name and process group, started by it or by its parent. Pure."""
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
    for number, one in after.items():
        known = before.get(number)
        used[number] = one.ticks - (known.ticks if known is not None and known.started == one.started else 0)
    return {number: ticks for number, ticks in used.items() if ticks > 0}


def _read(path: str, size: int = 1_024) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(size)
    except OSError:
        return b""
