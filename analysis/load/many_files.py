"""Reads the traces in a path; several large files in several processes, where there are cores for them."""

import marshal
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple
from itertools import chain
from pathlib import Path
from subprocess import DEVNULL, Popen
from tempfile import TemporaryFile
from typing import IO, Any, Final

import pandas as pd

from whywait.analysis.errors import InputError
from whywait.analysis.load.files import files_of, name_of_file, no_collection, read_file
from whywait.analysis.load.otlp import Row, columns_of
from whywait.analysis.model import Finding

Part = pd.DataFrame | Finding
LARGE: Final = 128 * 2**20  # bytes of JSON that are worth a process, whose start takes as long as reading half of them
_PACKED: Final = {".gz": 16, ".parquet": 0}  # times smaller than the JSON, about; Parquet needs no process
# a process of its own and no fork, which threads of the host would not survive, and no second run of the host's program
_CHILD: Final = (
    "import marshal, sys; path, *given = marshal.load(sys.stdin.buffer); sys.path[:] = path; "
    "from whywait.analysis.load.many_files import write_parts; write_parts(*given)"
)


def read_path(path: Path, *, skip_bad_lines: bool) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Return the spans in a file, on standard input ("-"), or in a directory's *.jsonl, *.json, *.gz and *.parquet
    files. Raises InputError, naming file and line."""
    files = files_of(path)
    own, *others = dealt(files)
    read: dict[Path, list[Part]] = {}
    with ExitStack() as stack:
        children = [stack.enter_context(_child(hand, skip_bad_lines)) for hand in others]
        read |= {file: list(map(_part, read_file(file, skip_bad_lines=skip_bad_lines))) for file in own}
        for of_child in children:
            read |= of_child()
    parts = list(chain.from_iterable(read[file] for file in files))
    spans = [part for part in parts if not isinstance(part, Finding) and len(part)]
    if not spans:
        raise InputError(
            f"{name_of_file(path)} contains no spans: send the service some requests, or wait until it has exported them"
        )
    return pd.concat(spans, ignore_index=True), tuple(part for part in parts if isinstance(part, Finding))


def dealt(files: list[Path]) -> list[list[Path]]:
    """Return the files that each process reads, this one's first: about as much work for each."""
    if len(files) == 1:
        return [files]
    sizes = {file: file.stat().st_size * _PACKED.get(file.suffix, 1) for file in files}
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    hands: list[list[Path]] = [[] for _ in range(max(1, min(cores, len(files), sum(sizes.values()) // LARGE)))]
    loads = [0] + [LARGE // 2] * (len(hands) - 1)
    for file in sorted(files, key=sizes.__getitem__, reverse=True):
        least = loads.index(min(loads)) if sizes[file] else 0
        hands[least].append(file)
        loads[least] += sizes[file]
    return [hands[0], *filter(None, hands[1:])]


@contextmanager
def _child(files: list[Path], skip_bad_lines: bool) -> Iterator[Callable[[], dict[Path, list[Part]]]]:
    # what it read waits in a file: a pipe would hold it up until this process reads, and its own memory would grow
    with TemporaryFile() as given, TemporaryFile() as written:
        given.write(marshal.dumps((sys.path, list(map(str, files)), skip_bad_lines)))
        given.seek(0)
        with Popen([sys.executable, "-c", _CHILD], stdin=given, stdout=written, stderr=DEVNULL) as child:  # noqa: S603
            try:
                yield lambda: _taken(child, written, files)
            finally:
                child.kill()


def _taken(child: "Popen[bytes]", written: IO[bytes], files: list[Path]) -> dict[Path, list[Part]]:
    if child.wait():
        raise InputError(
            f"the process that read {', '.join(map(str, files))} ended with {child.returncode}, perhaps for want of "
            "memory or of room for temporary files: give the files one by one"
        )
    written.seek(0)
    return {file: list(_parts(written)) for file in files}


def _part(read: list[Row] | Part) -> Part:
    return columns_of(read) if isinstance(read, list) else read


def _parts(written: IO[bytes]) -> Iterator[Part]:
    while size := int.from_bytes(written.read(8)):
        part = marshal.loads(written.read(size))  # noqa: S302 - what our own child wrote
        if isinstance(part, str):
            raise InputError(part)
        yield _part(part if isinstance(part, list) else Finding(*part))


@no_collection()
def write_parts(names: list[str], skip_bad_lines: bool) -> None:
    """Write what is in the files to standard output, each part after its size, 0 after each file; or the words of an
    InputError."""
    out = sys.stdout.buffer

    def write(part: Any) -> None:
        data = marshal.dumps(part)
        out.write(len(data).to_bytes(8) + data)

    try:
        for name in names:
            for part in read_file(Path(name), skip_bad_lines=skip_bad_lines):
                write(astuple(part) if isinstance(part, Finding) else part)
            out.write(bytes(8))
    except InputError as error:
        write(str(error))
