"""The line of code at a culprit's place, where the file is there."""

import os
import stat
from pathlib import Path
from typing import Final

_MOST_BYTES: Final = 2_000_000


def code_line(file: str, line: int | None, traced_ns: int) -> str:
    """Return a line of a Python file as it was when it ran, "" where the file is not there, is not below the working
    folder or an installed library, or has changed since `traced_ns`.

    Paths come from the traces, which anybody may have written: no other file is read, however it is named.
    """
    try:
        path = Path(os.path.realpath(file))
        if line is None or path.suffix != ".py" or not _may_be_shown(path):
            return ""
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES or found.st_mtime_ns > traced_ns:
            return ""
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except (OSError, ValueError):
        return ""
    return lines[line - 1].strip() if 0 < line <= len(lines) else ""


def _may_be_shown(path: Path) -> bool:
    return path.is_relative_to(Path.cwd().resolve()) or "site-packages" in path.parts
