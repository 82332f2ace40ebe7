"""Parses times and durations of logs into integer nanoseconds. A time without a zone is taken as UTC: only
differences within one log matter."""

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Final

_SECOND_NS: Final = 10**9
_UNITS_NS: Final = {"n": 1, "u": 1_000, "µ": 1_000, "μ": 1_000, "mi": 1_000, "m": 10**6, "s": 10**9}
UNIT: Final = r"(?:nanoseconds?|ns|microseconds?|us|µs|μs|milliseconds?|msecs?|ms|seconds?|secs?|s)(?![A-Za-z])"
NUMBER: Final = r"\d{1,12}(?:\.\d{1,9})?"
_CLOCK: Final = r"(?P<hour>[01]\d|2[0-3]):(?P<minute>[0-5]\d):(?P<second>[0-5]\d)(?:[.,](?P<fraction>\d{1,9}))?"
_ZONE: Final = r"(?:\s?(?P<zone>Z|[+-]\d{2}:?\d{2}))?"
_FORMS: Final = tuple(
    re.compile(form)
    for form in (
        rf"(?P<year>(?:19|20)\d\d)[-/](?P<month>\d\d)[-/](?P<day>\d\d)[T ]{_CLOCK}{_ZONE}",  # ISO, logging, Go
        rf"\b[A-Z](?P<month>\d\d)(?P<day>\d\d) {_CLOCK}",  # klog
        rf"(?<!\d){_CLOCK}{_ZONE}",
    )
)
# seconds, milliseconds, microseconds or nanoseconds since 1970, by their number of digits
_EPOCH: Final = re.compile(r"(?<![\d.])(?P<whole>\d{19}|\d{16}|\d{13}|\d{10})(?:\.(?P<fraction>\d{1,9}))?(?![\d.])")
_DURATION: Final = re.compile(rf"(?i)\s*(?P<number>{NUMBER})\s*(?P<unit>{UNIT})?\s*")
_WITHIN: Final = 96  # characters from the line's beginning in which its time is searched
Moment = tuple[int, int]  # nanoseconds, and the value of the last digit given


def moment(text: str, today: date) -> Moment | None:
    """Return the first time in `text`, of any form; None without one."""
    epoch = _EPOCH.search(text)
    if epoch is not None and epoch.start() == len(text) - len(text.lstrip(" [\"'")):
        return epoch_moment(epoch)
    for form in _FORMS:
        found = form.search(text)
        if found is not None:
            return _clock_moment(found, today)
    return None if epoch is None else epoch_moment(epoch)


def line_moment(line: str, today: date) -> Moment | None:
    """Return the time at the beginning of a line; None without one."""
    return moment(line[:_WITHIN], today)


def epoch_moment(found: re.Match[str]) -> Moment:
    """Return the moment of a number since 1970; its number of digits gives the unit."""
    whole, fraction = found["whole"], found["fraction"] or ""
    scale = 10 ** (19 - len(whole))
    return int(whole) * scale + int(int(fraction or 0) * scale // 10 ** len(fraction)), max(
        scale // 10 ** len(fraction), 1
    )


def _clock_moment(found: re.Match[str], today: date) -> Moment | None:
    parts = {"year": today.year, "month": today.month, "day": today.day, "zone": "", **found.groupdict()}
    fraction = str(parts["fraction"] or "")
    numbers = (int(parts[name]) for name in ("year", "month", "day", "hour", "minute", "second"))
    try:
        at = datetime(*numbers, tzinfo=_zone(parts["zone"]))  # type: ignore[misc, arg-type]
    except ValueError:  # such as the 31st of February
        return None
    whole = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    step = 10 ** (9 - len(fraction))
    return whole * _SECOND_NS + int(fraction or 0) * step, step


def _zone(text: str | None) -> timezone:
    if not text or text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(sign * timedelta(minutes=min(minutes, 24 * 60 - 1)))


def duration(text: str, unit: str = "ms") -> Moment | None:
    """Return the duration in `text` and the value of its last digit, ns; `unit` is the default unit."""
    found = _DURATION.fullmatch(text)
    if found is None:
        return None
    scale = _unit_ns(found["unit"] or unit)
    whole, _, fraction = found["number"].partition(".")
    step = scale / 10 ** len(fraction)
    return int(whole) * scale + round(int(fraction or 0) * step), max(int(step), 1)


def _unit_ns(unit: str) -> int:
    unit = unit.lower()
    return _UNITS_NS["mi" if unit.startswith("mic") else unit[0]]
