"""How amounts, places and counts are written; and names from traces, which may carry escape sequences, made safe."""

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
    """Return nanoseconds as milliseconds without their unit: three figures, no more."""
    value = abs(ns) / 1e6
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"
    return f"−{shown}" if ns < 0 and float(shown.replace(",", "")) else shown


def amount(ns: float) -> str:
    """Return nanoseconds as milliseconds with their unit."""
    return f"{milliseconds(ns)} ms"


def signed(ns: float) -> str:
    """Return a difference in milliseconds with its sign, without the unit."""
    shown = milliseconds(ns)
    return f"+{shown}" if ns > 0 else shown


def place(file: object, line: object) -> str:
    """Return the last two parts of a path with its line: "app/model.py:12", or what of it is known."""
    tail = "/".join(file.split("/")[-2:]) if isinstance(file, str) else ""
    return f"{tail}:{line}" if tail and str(line).isdigit() else tail


def counted(count: float, noun: str) -> str:
    """Return how many there are: "1 request", "1,200 requests"."""
    return f"{count:,.0f} {noun}{'' if round(count) == 1 else 's'}"
