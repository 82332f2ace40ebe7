"""Whether the culprit that was named is the true one."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from benchmarks.truth.record import Who

SEPARATORS: Final = ".: ()'\""


def is_named(true: Who, told: Mapping[str, Any] | None) -> bool:
    """The function, or what the culprit is called, and the other request where there is one."""
    if told is None or told["request"] != true.request:
        return False
    words = _words(str(told["name"]))
    return any(not one.name or one.name in words or _is_placed(one, told) for one in _chain(true))


def is_placed(true: Who, told: Mapping[str, Any] | None) -> bool:
    """The file, and a line within the function, of it or of one that was on the stack with it."""
    return told is not None and any(_is_placed(one, told) for one in _chain(true))


def has_place(true: Who) -> bool:
    """Whether there is a place to name: another process and a quota have none."""
    return any(one.file for one in _chain(true))


def _is_placed(one: Who, told: Mapping[str, Any]) -> bool:
    return bool(one.file) and told["file"] == one.file and one.first_line <= told["line"] <= one.last_line


def _chain(true: Who) -> Iterator[Who]:
    yield true
    for one in true.within:
        yield from _chain(one)


def _words(name: str) -> set[str]:
    return set(name.translate(str.maketrans(SEPARATORS, " " * len(SEPARATORS))).split())
