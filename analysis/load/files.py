"""OTLP JSON from files, plain or gzip, directories and standard input: an object a line, or one over many lines.

Answers of Jaeger that were saved, as its API and its page give them, are read as well.
"""

import gc
import gzip
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import IO, Final, cast

import pandas as pd

from whywait.analysis.errors import InputError
from whywait.analysis.load.others import binary_kind
from whywait.analysis.load.otlp import NotOtlp, Row, parsed, values_in
from whywait.analysis.load.parquet import is_parquet, read_parquet
from whywait.analysis.load.typed_otlp import rows_of_line
from whywait.analysis.model import Finding

LONGEST: Final = 128 * 2**20  # bytes of one line, or of an object over many lines: what is parsed at once
AT_ONCE: Final = 2**15  # spans that are handed on together
SUFFIXES = (".jsonl", ".json", ".jsonl.gz", ".json.gz", ".parquet")


def read_file(file: Path, *, skip_bad_lines: bool) -> Iterator[list[Row] | pd.DataFrame | Finding]:
    """Yield the spans of a file, or of standard input ("-"), some at a time; then what was found about lines that were
    skipped. Raises InputError, naming file and line."""
    if is_parquet(file):
        yield from read_parquet(file)
        return
    with lines_of(file) as lines:
        yield from read_lines(lines, name_of_file(file), skip_bad_lines=skip_bad_lines)


def name_of_file(file: Path) -> str:
    """Return what the file is called in a message."""
    return "standard input" if str(file) == "-" else str(file)


def files_of(path: Path) -> list[Path]:
    """Return the file itself, or a directory's files that may contain traces. Raises InputError when there is none."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.name.endswith(SUFFIXES) and file.is_file())
        if not files:
            raise InputError(
                f"{path} contains no *.jsonl file: expected OTLP JSON Lines written by whywait. A run in which no request "
                "began writes none: put @whywait.traced on the function that does one unit of its work"
            )
        return files
    if str(path) != "-" and not path.exists():
        raise InputError(f"{path} does not exist: expected a file of OTLP JSON Lines, a directory or a Jaeger URL")
    return [path]


@contextmanager
def lines_of(file: Path) -> Iterator[Iterable[bytes]]:
    """Yield the lines of a file, plain or gzip. Raises InputError when it cannot be read, at its start or later."""
    try:
        opened = nullcontext(sys.stdin.buffer) if str(file) == "-" else file.open("rb", buffering=2**20)
        with opened as raw:
            yield bounded(_plain(raw, file.name), name_of_file(file))
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{name_of_file(file)} is not a complete gzip file: {error}. Was it truncated while being copied?"
        ) from error
    except OSError as error:
        raise InputError(f"{name_of_file(file)} cannot be read: {error.strerror or error}") from error


def _plain(raw: IO[bytes], name: str) -> IO[bytes]:
    peek = getattr(raw, "peek", None)
    zipped = name.endswith(".gz") or (peek is not None and peek(2)[:2] == b"\x1f\x8b")
    return cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if zipped else raw


def bounded(stream: IO[bytes], where: str) -> Iterator[bytes]:
    """Yield the lines; raises InputError at one that is longer than LONGEST."""
    while line := stream.readline(LONGEST + 1):
        if len(line) > LONGEST:
            raise InputError(
                f"{where} has a line of over {LONGEST >> 20} MiB: expected OTLP JSON Lines, one object per line"
            )
        yield line


def objects_of(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the lines, each an object; objects over many lines, LONGEST together, come as one line each."""
    lines, begun = iter(lines), list[bytes]()
    for line in lines:
        begun.append(line)
        if line.strip():
            break
    if begun and not _is_json(begun[-1]):
        size = 0
        while size < LONGEST and (line := next(lines, b"")):
            begun.append(line)
            size += len(line)
        # where this is no JSON either, each line has its own complaint
        with suppress(ValueError, RecursionError):
            begun = [
                one.replace("\n", " ").encode() + b"\n" for _, one in values_in(b"".join(begun).decode("utf-8-sig"))
            ]
    yield from chain(begun, lines)


def read_lines(lines: Iterable[bytes], where: str, *, skip_bad_lines: bool) -> Iterator[list[Row] | Finding]:
    """Yield the spans of OTLP JSON, AT_ONCE or somewhat more at a time; broken lines raise InputError or become one
    finding."""
    rows: list[Row] = []
    bad: list[int] = []
    for number, line in enumerate(objects_of(lines), start=1):
        if not line.strip():
            continue
        try:
            rows += rows_of_line(line)
        except (ValueError, RecursionError) as error:
            if not skip_bad_lines:
                raise InputError(_complaint(where, number, line, error)) from error
            bad.append(number)
        if len(rows) >= AT_ONCE:
            yield rows
            rows = []
    yield rows
    if bad:
        numbers = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        yield Finding("bad-line", f"lines of {where} were skipped, they are not OTLP JSON: {numbers}", len(bad))


def _is_json(text: bytes) -> bool:
    try:
        parsed(text)
    except (ValueError, RecursionError):
        return False
    return True


def _complaint(where: str, number: int, line: bytes, error: Exception) -> str:
    if isinstance(error, NotOtlp):
        return f"{where}, line {number}: JSON, but not OTLP traces: {error}. Expected one OTLP object per line"
    if number < 3 and (kind := binary_kind(b"\n" * (number - 1) + line)):
        return f"{where}: not OTLP JSON, it is {kind}"
    if number > 1 and not line.endswith(b"\n"):
        return (
            f"{where}, line {number}: the last line is cut off; the service may still be writing. "
            "Wait for it to stop, or skip the line (--skip-bad-lines)"
        )
    kind = "truncated JSON" if line.lstrip().startswith(b"{") else "not JSON"
    return f"{where}, line {number}: {kind}. Expected one OTLP object per line; --skip-bad-lines skips it"


@contextmanager
def no_collection() -> Iterator[None]:
    """Switch the garbage collector off inside the block."""
    # millions of new dicts, none of them garbage: the collector would scan them repeatedly
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
