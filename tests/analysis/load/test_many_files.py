"""Several files read in several processes give what reading them in turn gives; a process that dies is told."""

import gzip
import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from testbed.fuzz.inputs import RECORDING
from whywait.analysis.errors import InputError
from whywait.analysis.load import load_traces, many_files
from whywait.analysis.load.many_files import dealt, read_path
from whywait.analysis.load.parquet import write_parquet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of three kinds, one with a line that is cut off."""
    for file in RECORDING.glob("*.jsonl.gz"):
        shutil.copy(file, tmp_path)
    lines = gzip.decompress((RECORDING / "batched.jsonl.gz").read_bytes()).splitlines(keepends=True)
    (tmp_path / "a.jsonl").write_bytes(b"".join(lines[:40]) + b'{"resourceSpans": [\n' + lines[40])
    (tmp_path / "b.jsonl").write_bytes(b"")
    write_parquet(load_traces(RECORDING / "collected.jsonl.gz").spans, tmp_path / "c.parquet")
    return tmp_path


def in_processes(monkeypatch: pytest.MonkeyPatch, cores: int) -> None:
    monkeypatch.setattr(many_files, "LARGE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)


def test_processes_read_what_one_reads_in_turn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_turn = read_path(folder, skip_bad_lines=True)
    assert [one.code for one in in_turn[1]] == ["bad-line"]
    in_processes(monkeypatch, 3)
    assert len(dealt(many_files.files_of(folder))) == 3
    started: list[Any] = []
    popen = many_files.Popen
    monkeypatch.setattr(
        many_files, "Popen", lambda *given, **more: started.append(popen(*given, **more)) or started[-1]
    )
    read, findings = read_path(folder, skip_bad_lines=True)
    pd.testing.assert_frame_equal(read, in_turn[0])
    assert findings == in_turn[1]
    assert [child.returncode for child in started] == [0, 0]


def test_a_bad_line_is_told_as_in_turn(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as in_turn:
        read_path(folder, skip_bad_lines=False)
    in_processes(monkeypatch, 2)
    with pytest.raises(InputError) as told:
        read_path(folder, skip_bad_lines=False)
    assert str(told.value) == str(in_turn.value)


@pytest.mark.parametrize("end", ["import os; os.kill(os.getpid(), 9)", "raise MemoryError", "import sys; sys.exit(3)"])
@pytest.mark.timeout(60)
def test_a_process_that_dies_is_one_sentence(end: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_processes(monkeypatch, 2)
    monkeypatch.setattr(many_files, "_CHILD", end)
    with pytest.raises(InputError, match=r"^the process that read \S+(, \S+)* ended with (-9|1|3), perhaps"):
        read_path(folder, skip_bad_lines=True)


def test_few_bytes_are_read_by_one_process_and_many_by_no_more_than_there_are_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"{number}.jsonl" for number in range(8)]
    for file in files:
        with file.open("wb") as out:
            out.truncate(many_files.LARGE // 9)  # sparse
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    assert dealt(files) == [files]
    for file in files:
        with file.open("wb") as out:
            out.truncate(many_files.LARGE)
    hands = dealt(files)
    assert sorted(map(len, hands)) == [2, 2, 2, 2]
    assert sorted(file for hand in hands for file in hand) == files
