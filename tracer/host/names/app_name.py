"""The name of the application that this process runs, from its command line."""

import os
import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

_APP: Final = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(\(.*\))?")  # what servers take: package.module:app
_PLAIN: Final = ("app", "main", "asgi", "wsgi", "server", "application", "api", "__main__", "__init__")


def app_name() -> str:
    """Return the name of the application, script or module, for a worker of `multiprocessing` its parent's; else
    "unknown_service"."""
    return _named(sys.orig_argv) or _named(_parents_words()) or "unknown_service"


def program_name() -> str:
    """Return the name of the script or module that this process runs, such as "uvicorn"; "" for neither."""
    return Path(_runs(sys.orig_argv)[0]).name


def _named(words: Sequence[str]) -> str:
    for found in filter(None, map(_APP.fullmatch, words[1:])):
        return _without_plain(found[1].split("."))
    what, module = _runs(words)
    if module:
        return _without_plain(what.split("."))
    path = Path(what)
    return (path.stem, path.parent.name)[path.stem in _PLAIN] or path.stem


def _runs(words: Sequence[str]) -> tuple[str, bool]:
    """Return the script or module that Python runs, "" for neither, and whether it is a module."""
    for before, word in pairwise(words):
        if word == "-c":
            break
        if before == "-m" or (not word.startswith("-") and before not in ("-X", "-W")):
            return word, before == "-m"
    return "", False


def _without_plain(parts: list[str]) -> str:
    while len(parts) > 1 and parts[-1] in _PLAIN:
        parts = parts[:-1]
    return ".".join(parts)


def _parents_words() -> list[str]:
    try:
        line = Path(f"/proc/{os.getppid()}/cmdline").read_bytes()
    except OSError:
        return []
    return [os.fsdecode(word) for word in line.split(b"\0") if word]
