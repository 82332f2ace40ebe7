"""The name of the application that this process runs, and its packages, from its command line."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final

_APP: Final = re.compile(r"([A-Za-z_][\w.]*):[A-Za-z_][\w.]*(\(.*\))?")  # what servers take: package.module:app
_DOTTED: Final = re.compile(r"((?:[A-Za-z_]\w*\.)+[A-Za-z_]\w*)")
_TAKE_DOTTED: Final = ("arq", "dramatiq", "taskiq")  # others take package.module:app, or an option
_OPTIONS: Final = ("-A", "--app")  # before a package
_IMPORTED: Final = re.compile(rb"^from ([A-Za-z_]\w*)[\w.]* import", re.MULTILINE)  # by an installed package's script
_SCRIPT: Final = 4_096  # bytes of it that are read
_CONFIG: Final = re.compile(r"(?:-c|--config)[ =](?:file:)?(\S+)")  # gunicorn's; without one:
_PLAIN_CONFIG: Final = "gunicorn.conf.py"
_CONFIGURED: Final = re.compile(r"^wsgi_app\s*=\s*[\"']([\w.:]+)", re.MULTILINE)
_SETTINGS: Final = "DJANGO_SETTINGS_MODULE"
_PLAIN: Final = ("app", "main", "asgi", "wsgi", "server", "application", "api", "__main__", "__init__")


def app_name() -> str:
    """Return the name of the application, script or module, for a worker of `multiprocessing` its parent's; else
    "unknown_service"."""
    return _named(_words()) or _named(_parents_words()) or "unknown_service"


def app_packages() -> frozenset[str]:
    """Return the import packages that the command line names, of applications, modules and what an installed script runs:
    what of them is installed is the service's own code, and no library."""
    return frozenset(_packages(_words()) or _packages(_parents_words()))


def _words() -> list[str]:
    """The command line, with the application that gunicorn's configuration names where that does not."""
    words = sys.orig_argv
    if Path(_runs(words)[0]).name != "gunicorn" or any(map(_APP.fullmatch, words[1:])):
        return words
    given = _CONFIG.search(" ".join(words))
    with suppress(OSError, ValueError):
        return [*words, *_CONFIGURED.findall(Path(given[1] if given else _PLAIN_CONFIG).read_text())]
    return words


def _packages(words: Sequence[str]) -> set[str]:
    script, is_module = _runs(words)
    patterns = (_APP, _DOTTED) if Path(script).name in _TAKE_DOTTED else (_APP,)
    named = [one[1] for pattern in patterns for one in map(pattern.fullmatch, words[1:]) if one]
    named += [word for before, word in pairwise(words) if before in _OPTIONS]
    named += filter(None, [os.environ.get(_SETTINGS)])
    if not named and is_module:  # else that is what runs the application
        named = [script]
    elif not named and Path(script).parent.name == "bin":
        with suppress(OSError), open(script, "rb") as file:
            named = [one.decode() for one in _IMPORTED.findall(file.read(_SCRIPT))]
    return {word.partition(".")[0] for word in named}


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
