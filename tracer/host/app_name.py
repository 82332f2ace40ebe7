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


def _named(words: Sequence[str]) -> str:
    for found in filter(None, map(_APP.fullmatch, words[1:])):
        return _without_plain(found[1].split("."))
    for before, word in pairwise(words):
        if word == "-c":
            return ""
        if before == "-m":
            return _without_plain(word.split("."))
        if not word.startswith("-") and before not in ("-X", "-W"):
            path = Path(word)
            return (path.stem, path.parent.name)[path.stem in _PLAIN] or path.stem
    return ""


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
