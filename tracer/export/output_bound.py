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


class _Name(NamedTuple):
    family: str
    process_id: int  # 0: of no process alone
    part: int


def part_path(path: Path, part: int) -> Path:
    """Return the file of a part: `traces-7.jsonl`, then `traces-7.1.jsonl` and so on."""
    return path.with_name(f"{path.stem}.{part}{path.suffix}") if part else path


def make_room(path: Path, bound_bytes: int) -> list[Path]:
    """Remove the oldest files of the output until they fit, and return them. A file that a living process writes
    stays, and so does `path`. Never raises."""
    removed: list[Path] = []
    with suppress(OSError):
        found = sorted(_files(path), key=lambda one: (one[0], _name(one[2]).part))  # the kernel's clock has ticks
        excess = sum(size for _, size, _ in found) - bound_bytes
        for _, size, file in found:
            if excess <= 0:
                break
            if file != path and not _is_written(file, path):
                file.unlink()
                removed.append(file)
                excess -= size
    return removed


def _files(path: Path) -> Iterator[tuple[int, int, Path]]:
    family = _name(path).family
    for file in path.parent.glob(f"*{path.suffix}"):
        if _name(file).family == family:
            state = file.stat()
            yield state.st_mtime_ns, state.st_size, file


def _name(file: Path) -> _Name:
    found = _NAME.fullmatch(file.stem)
    assert found is not None  # any name is a family
    return _Name(found["family"], int(found["process"] or 0), int(found["part"] or 0))


def _is_written(file: Path, own: Path) -> bool:
    """Whether it is the latest part of another process that lives."""
    name = _name(file)
    if not name.process_id or name.process_id == _name(own).process_id or not _lives(name.process_id):
        return False
    parts = (_name(one).part for _, _, one in _files(file) if _name(one).process_id == name.process_id)
    return name.part == max(parts)


def _lives(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
