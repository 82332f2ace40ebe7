"""Writes a file completely or not at all."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from whywait.analysis.errors import InputError


@contextmanager
def whole_file(target: Path) -> Iterator[TextIO]:
    """Yield a text stream that becomes `target` when the block succeeds ("-": standard output; a pipe or device is
    written to directly). Raises InputError when it cannot be written."""
    if str(target) == "-":
        yield sys.stdout
        return
    if target.exists() and not target.is_file():
        if target.is_dir():
            raise InputError(f"cannot write {target}: it is a directory; give a file in it")
        with target.open("w", encoding="utf-8") as stream:
            yield stream
        return
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}; does the folder exist?") from error
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            yield stream
        os.chmod(name, 0o644)
        os.replace(name, target)
    except OSError as error:
        raise InputError(f"cannot write {target}: {error.strerror}") from error
    finally:
        Path(name).unlink(missing_ok=True)
