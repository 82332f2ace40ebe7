"""Trace content is hostile: names may carry control characters, escape sequences or direction marks."""

import unicodedata
from typing import Final

_MAX_LENGTH: Final = 300


def safe(text: object, limit: int = _MAX_LENGTH) -> str:
    """`text` on one line without control, format and surrogate characters, cut to `limit`."""
    cleaned = "".join(
        " " if character in "\n\r\t" else character
        for character in str(text)
        if character in "\n\r\t" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def milliseconds(ns: float) -> str:
    """Nanoseconds as milliseconds for a person: three figures, no more."""
    value = ns / 1e6
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def short_place(file: str, line: object) -> str:
    """The last two parts of a path with its line: enough to find it, short enough to read."""
    if not file:
        return ""
    tail = "/".join(str(file).split("/")[-2:])
    return f"{tail}:{line}" if str(line).isdigit() else tail
