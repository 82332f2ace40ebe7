"""Reads lines into sightings, within bounds on line length, memory and time per line."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from time import monotonic
from typing import IO, Any, Final

from whywait.analysis.errors import InputError
from whywait.analysis.logs.model import LogReading, Sighting
from whywait.analysis.logs.patterns import EXAMPLE, Reader, common_reader, user_reader
from whywait.analysis.logs.stretches import requests_of
from whywait.analysis.model import Finding

LONGEST_LINE: Final = 10_000  # bytes; longer lines are cut
MOST_SIGHTINGS: Final = 1_000_000
PATIENCE_S: Final = 1.0  # of one line
_TICK_S: Final = 0.25


def read_logs(
    source: str, *, patterns: Sequence[str] = (), markers: Sequence[str] = (), today: date | None = None
) -> LogReading:
    """Return the requests in a log ("-": standard input). `patterns`: regular expressions with groups `request`,
    `name`, `time`, `delta`, `total` instead of common formats; `markers` keeps only these. Raises InputError when
    there is no request."""
    day = today or datetime.now(UTC).date()
    reader = user_reader(patterns, day) if patterns else common_reader(day)
    if source == "-":
        found, findings, lines = _read(sys.stdin.buffer, "standard input", reader)
    else:
        try:
            with Path(source).open("rb") as file:
                found, findings, lines = _read(file, source, reader)
        except OSError as error:
            raise InputError(f"{source} cannot be read: {error.strerror or error}") from error
    if not any(one.marker or one.total_ns is not None for one in found):
        raise InputError(_nothing("standard input" if source == "-" else source, patterns, lines, len(found)))
    requests, more = requests_of(found, frozenset(markers))
    if not requests:
        known = ", ".join(sorted({one.marker for one in found if one.marker})[:12])
        raise InputError(f"no request has two of these markers, or a total; its markers are: {known}")
    return LogReading(tuple(requests), (*findings, *more), lines)


def _read(file: IO[bytes], where: str, reader: Reader) -> tuple[list[Sighting], list[Finding], int]:
    found: list[Sighting] = []
    number = cut = left_out = 0
    with _bounded_time(where, lambda: number):
        for raw, was_cut in _lines(file):
            number += 1
            cut += was_cut
            sighting = reader(raw.decode("utf-8", "replace"), number)
            if sighting is not None and len(found) < MOST_SIGHTINGS:
                found.append(sighting)
            elif sighting is not None:
                left_out += 1
    findings = []
    if cut:
        findings.append(Finding("long-line", f"lines were cut after {LONGEST_LINE:,} bytes", cut))
    if left_out:
        said = f"lines after the first {MOST_SIGHTINGS:,} of requests were left out"
        findings.append(Finding("too-many-lines", said, left_out))
    return found, findings, number


def _lines(file: IO[bytes]) -> Iterator[tuple[bytes, bool]]:
    while line := file.readline(LONGEST_LINE + 1):
        cut = len(line) > LONGEST_LINE and not line.endswith(b"\n")
        rest = line
        while cut and rest and not rest.endswith(b"\n"):
            rest = file.readline(1 << 20)
        yield line[:LONGEST_LINE].rstrip(b"\r\n"), cut


@contextmanager
def _bounded_time(where: str, line: Callable[[], int]) -> Iterator[None]:
    """Raise InputError in the body once one line takes longer than PATIENCE_S: a signal handler runs between the
    steps of a regular expression. Outside the main thread of a Unix process only a line's length is bounded."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return
    seen, ticks = -1, 0

    def tick(_number: int, _frame: Any) -> None:
        nonlocal seen, ticks
        ticks = ticks + 1 if line() == seen else 0
        seen = line()
        if ticks * _TICK_S > PATIENCE_S and _is_matching(_frame):
            raise InputError(
                f"{where}, line {seen}: the pattern took more than {PATIENCE_S:g} s on one line; simplify it: "
                "no repetition inside a repetition, such as (a+)+"
            )

    before = signal.signal(signal.SIGALRM, tick)
    rest_s, interval_s = signal.setitimer(signal.ITIMER_REAL, _TICK_S, _TICK_S)
    begun_s = monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if rest_s:  # restore an alarm that was set before
            signal.setitimer(signal.ITIMER_REAL, max(rest_s - (monotonic() - begun_s), 0.001), interval_s)


def _is_matching(frame: Any) -> bool:
    # waiting for more of a pipe has no limit
    while frame is not None:
        if frame.f_code.co_name == "read" and frame.f_globals.get("__name__") == common_reader.__module__:
            return True
        frame = frame.f_back
    return False


def _nothing(where: str, patterns: Sequence[str], lines: int, plain: int) -> str:
    if lines == 0:
        return f"{where} is empty"
    if patterns:
        return (
            f"no --pattern found a marker in any of the {lines:,} lines of {where}: it is searched for in each line, "
            f"which also needs a time, at its beginning or in a group (?P<time>...); such as '{EXAMPLE}'"
        )
    return (
        f"none of the {lines:,} lines of {where} has a request id, a time and a marker that are known "
        f"({plain:,} have the first two): expected such as 'requestID: 7, TS_BEFORE_X: 1747213340.826, delta: 0.1ms', "
        f"or name them: --pattern '{EXAMPLE}'"
    )
