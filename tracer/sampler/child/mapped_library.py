"""Finds the library in which a thread sleeps, by its system call's return address: it tells an OpenMP pool's threads.
Part of the sampler's process."""

from bisect import bisect_right

from whywait.tracer.sampler.child.cgroup import read_text

_NOT_TOLD = ("libc.", "libc-", "libpthread", "ld-", "libpython", "python", "libm.", "[")
_AGAIN_NS = 5_000_000_000


class Libraries:
    """Names the libraries of one process; its map is read when an address is new, and not often."""

    def __init__(self, process_id: int, root: str = "/") -> None:
        self._path = f"{root.rstrip('/')}/proc/{process_id}/maps"
        self._read_ns = 0
        self._starts: list[int] = []
        self._ranges: list[tuple[int, str]] = []

    def at(self, address: int, now_ns: int) -> str:
        """The library's short name, "libgomp"; "" where it is the C library's, Python's, or not known."""
        found = self._find(address)
        if found is None and (not self._read_ns or now_ns - self._read_ns >= _AGAIN_NS):
            self._read_ns = now_ns
            self._read()
            found = self._find(address)
        return found or ""

    def _find(self, address: int) -> "str | None":
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address >= self._ranges[at][0]:
            return None
        return self._ranges[at][1]

    def _read(self) -> None:
        found = sorted(code_ranges(read_text(self._path)))
        self._starts = [start for start, _, _ in found]
        self._ranges = [(end, name) for _, end, name in found]


def code_ranges(maps: str) -> "list[tuple[int, int, str]]":
    """Pure: start, end and library of each mapping that holds code, by the content of a maps file."""
    found = []
    for line in maps.splitlines():
        words = line.split(None, 5)
        if len(words) == 6 and "x" in words[1]:
            start, _, end = words[0].partition("-")
            found.append((int(start, 16), int(end, 16), library_name(words[5])))
    return found


def library_name(path: str) -> str:
    """Pure: "libgomp" of ".../libgomp-e985bcbb.so.1.0.0"; "" for those that any thread may sleep in."""
    file = path.rsplit("/", 1)[-1]
    if file.startswith(_NOT_TOLD):
        return ""
    return file.partition(".so")[0].partition("-")[0][:56]
