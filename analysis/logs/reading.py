"""Reads lines into sightings, within bounds on line length and memory."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path
from typing import IO, Final

from whywait.analysis.errors import LOG_PATTERN, InputError
from whywait.analysis.logs.clock_text import line_moment
from whywait.analysis.logs.model import LogReading, Sighting
from whywait.analysis.logs.patterns import Reader, common_reader, fitting_pattern, user_reader
from whywait.analysis.logs.stretches import requests_of
from whywait.analysis.model import Finding

LONGEST_LINE: Final = 10_000  # bytes; longer lines are cut
MOST_SIGHTINGS: Final = 1_000_000
PROPOSED_FROM: Final = 200  # lines: in these a pattern is looked for that could read the log


def read_logs(
    source: str, *, patterns: Sequence[str] = (), markers: Sequence[str] = (), today: date | None = None
) -> LogReading:
    """Return the requests in a log ("-": standard input). `patterns`: regular expressions with groups `request`,
    `name`, `time`, `delta`, `total` instead of common formats; `markers` keeps only these. Raises InputError when
    there is no request."""
    day = today or datetime.now(UTC).date()
    reader = user_reader(patterns, day) if patterns else common_reader(day)
    first: list[str] = []
    with _opened(source) as file:
        found, findings, lines = _read(file, reader, first)
    if not any(one.marker or one.total for one in found):
        raise InputError(_nothing(source, patterns, lines, len(found), first, day))
    requests, more = requests_of(found, frozenset(markers))
    if not requests:
        known = ", ".join(sorted({one.marker for one in found} - {""})[:12])
        raise InputError(f"no request has two of these markers, or a total; its markers are: {known}")
    return LogReading(tuple(requests), (*findings, *more), lines)


@contextmanager
def _opened(source: str) -> Iterator[IO[bytes]]:
    try:
        with nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as file:
            yield file
    except OSError as error:
        raise InputError(f"{source} cannot be read: {error.strerror or error}") from error


def _read(file: IO[bytes], reader: Reader, first: list[str]) -> tuple[list[Sighting], list[Finding], int]:
    found: list[Sighting] = []
    number = cut = left_out = 0
    for raw, was_cut in _lines(file):
        number += 1
        cut += was_cut
        text = raw.decode("utf-8", "replace")
        if number <= PROPOSED_FROM:
            first.append(text)
        sighting = reader(text, number)
        if sighting is not None and len(found) < MOST_SIGHTINGS:
            found.append(sighting)
        else:
            left_out += sighting is not None
    findings = (
        Finding("long-line", f"lines were cut after {LONGEST_LINE:,} bytes", cut),
        Finding("too-many-lines", f"lines after the first {MOST_SIGHTINGS:,} of requests were left out", left_out),
    )
    return found, [one for one in findings if one.count], number


def _lines(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    while line := file.readline(LONGEST_LINE + 1):
        cut = len(line) > LONGEST_LINE and not line.endswith(b"\n")
        rest = line
        while cut and rest and not rest.endswith(b"\n"):
            rest = file.readline(1 << 20)
        yield line[:LONGEST_LINE].rstrip(b"\r\n"), cut


def _nothing(where: str, patterns: Sequence[str], lines: int, plain: int, first: Sequence[str], day: date) -> str:
    where = "standard input" if where == "-" else where
    if lines == 0:
        return f"{where} is empty"
    if patterns:
        return (
            f"no --pattern found a marker in any of the {lines:,} lines of {where}: it is searched for in each line, "
            f"which also needs a time, at its beginning or in a group (?P<time>...); such as '{LOG_PATTERN}'"
        )
    if not any(line_moment(one, day) for one in first):
        return (
            f"none of the {lines:,} lines of {where} begins with a time (uvicorn's own do not): give the log a format with "
            "%(asctime)s, and its messages a request id and what each step took"
        )
    if fits := fitting_pattern(first, day):
        return f"no line of {where} has a marker that is known: this reads such lines as it has: --pattern '{fits}'"
    return (
        f"none of the {lines:,} lines of {where} has a request id, a time and a marker that are known "
        f"({plain:,} have the first two): expected such as 'requestID: 7, TS_BEFORE_X: 1747213340.826, delta: 0.1ms', "
        f"or name them: --pattern '{LOG_PATTERN}'"
    )
