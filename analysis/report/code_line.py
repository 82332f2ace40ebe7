"""The line of code at a culprit's place, where the file is there."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from whywait.secret_text import masked

_MOST_BYTES: Final = 2_000_000


def code_line(file: str, line: int, traced_ns: int) -> str:
    """Return a line of a Python file as it was when it ran, "" where the file is not there, is not below the working
    folder or an installed library, or has changed since `traced_ns`.

    What names itself a secret, such as the password in an address, is masked. Paths come from the traces, which anybody may have written: no other file is read, however it is named.
    """
    with suppress(OSError, ValueError):
        path = Path(os.path.realpath(file))
        if path.suffix == ".py" and _may_be_shown(path) and _is_what_ran(path.stat(), traced_ns):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            return masked(dict(enumerate(lines, start=1)).get(line, "").strip())
    return ""


def _may_be_shown(path: Path) -> bool:
    return path.is_relative_to(Path.cwd().resolve()) or "site-packages" in path.parts


def _is_what_ran(found: os.stat_result, traced_ns: int) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_size <= _MOST_BYTES and found.st_mtime_ns <= traced_ns
