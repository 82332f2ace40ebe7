"""Formats amounts, places and counts, and removes escape sequences from names in traces."""

import re
import unicodedata
from typing import Final

from whywait.tracer.schema import INSTALLED_APP

_MAX_LENGTH: Final = 300
_INSTALLED: Final = re.compile(rf".*/(?:site|dist)-packages/(?!{re.escape(INSTALLED_APP)})([^/]+/.+)")


def safe(text: object, limit: int = _MAX_LENGTH) -> str:
    """Return `text` on one line without control, format and surrogate characters, cut to `limit`."""
    cleaned = "".join(
        " " if character in "\n\r\t" else character
        for character in str(text)
        if character in "\n\r\t" or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
    )
    return cleaned if len(cleaned) <= limit else cleaned[: limit - 1] + "…"


def milliseconds(ns: float) -> str:
    """Return nanoseconds as milliseconds without the unit, with three significant digits."""
    value = abs(ns) / 1e6
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    return f"−{shown}" if ns < 0 and float(shown.replace(",", "")) else shown


def amount(ns: float) -> str:
    """Return nanoseconds as milliseconds with the unit."""
    return f"{milliseconds(ns)} ms"


def signed(ns: float) -> str:
    """Return a difference in milliseconds with its sign, without the unit."""
    shown = milliseconds(ns)
    return f"+{shown}" if ns > 0 else shown


def place(file: object, line: object) -> str:
    """Return the last two parts of a path with its line: "app/model.py:12", or the known part of it; of an installed package
    all from its name on, without which "middleware/base.py" may be the user's."""
    path = file if isinstance(file, str) else ""
    installed = _INSTALLED.search(path)
    tail = installed[1] if installed else "/".join(path.split("/")[-2:])
    return f"{tail}:{line}" if tail and str(line).isdigit() else tail


def in_brackets(words: str) -> str:
    """Return " (words)"; "" without words."""
    return f" ({words})" if words else ""


def named_at(name: object, file: object, line: object) -> str:
    """Return a function with its place: "predict (app/model.py:12)"; its name alone where the place is not known."""
    return f"{name}{in_brackets(place(file, line))}"


def counted(count: float, noun: str) -> str:
    """Return a count with its noun: "1 request", "1,200 requests"."""
    return f"{count:,.0f} {noun}{'' if round(count) == 1 else 's'}"
