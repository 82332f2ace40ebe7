"""Which files of an output count towards its bound, which comes next, and which go when they are too many."""

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

PARTS: Final = 8
"""An output is at most so many parts of equal size, so that what goes is a small share of it."""
_NAME: Final = re.compile(r"(?P<family>traces|.*?)(?:-(?P<process>\d+))?(?:\.(?P<part>\d+))?")

_PACKED: Final = ".gz"


class _File(NamedTuple):
    """One file of an output. Sorts from the oldest on; the kernel's clock has ticks, within which the part decides."""

    written_ns: int
    part: int
    process_id: int  # 0: of no process alone
    size: int
    path: Path


def part_path(path: Path, part: int) -> Path:
    """Return the file of a part: `traces-7.jsonl`, then `traces-7.1.jsonl` and so on."""
    suffix = _suffix(path)
    return path.with_name(f"{path.name.removesuffix(suffix)}.{part}{suffix}") if part else path


def make_room(path: Path, bound_bytes: int) -> list[Path]:
    """Remove the oldest files of the output until they fit, and return them. A file that a living process writes
    stays, and so does `path`. Never raises."""
    removed: list[Path] = []
    with suppress(OSError):
        files = sorted(_files(path))
        latest = {one.process_id: one.path for one in files}
        excess = sum(one.size for one in files) - bound_bytes
        for one in files:
            if excess <= 0:
                break
            if one.path == path or (latest[one.process_id] == one.path and _lives(one.process_id)):
                continue
            one.path.unlink()
            removed.append(one.path)
            excess -= one.size
    return removed


def _files(path: Path) -> Iterator[_File]:
    family = _named(path)["family"]
    plain = _suffix(path).removesuffix(_PACKED)
    for file in path.parent.iterdir():
        name = _named(file)
        if _suffix(file).removesuffix(_PACKED) == plain and name["family"] == family:
            state = file.stat()
            yield _File(state.st_mtime_ns, int(name["part"] or 0), int(name["process"] or 0), state.st_size, file)


def _suffix(file: Path) -> str:
    return "".join(file.suffixes[-2:]) if file.suffix == _PACKED else file.suffix


def _named(file: Path) -> re.Match[str]:
    found = _NAME.fullmatch(file.name.removesuffix(_suffix(file)))
    assert found is not None  # any name is a family
    return found


def _lives(process_id: int) -> bool:
    """Whether a process other than this one lives; 0 is none."""
    if process_id in (0, os.getpid()):
        return False
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
