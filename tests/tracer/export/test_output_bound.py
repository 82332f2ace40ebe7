"""An output has a bound: full parts are followed by others, and the oldest files go."""

import gzip
import os
import random
import re
import stat
from pathlib import Path

import pytest

import whywait
from whywait.analysis import analyze, load_traces
from whywait.tracer.config import Config, ConfigError, from_environment
from whywait.tracer.export.output_bound import PARTS, make_room, part_path
from whywait.tracer.export.trace_file import TraceFile

LINE = "x" * 99 + "\n"
BOUND = 100 * 10 * PARTS  # ten lines a part


def size_of(folder: Path) -> int:
    return sum(one.stat().st_size for one in folder.iterdir())


def test_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces-1.jsonl")
    file.write(LINE)
    assert stat.S_IMODE((tmp_path / "traces-1.jsonl").stat().st_mode) == 0o600
    file.close()


@pytest.mark.parametrize("name", [f"traces-{os.getpid()}.jsonl", "mine.jsonl"])
def test_the_latest_lines_are_kept_and_the_bound_holds(tmp_path: Path, name: str) -> None:
    file = TraceFile(tmp_path / name, BOUND)
    for number in range(1_000):
        file.write(f"{number:099}\n")
        assert file.error is None
        assert size_of(tmp_path) <= BOUND + len(LINE)
    file.close()
    kept = sorted(int(line) for one in tmp_path.iterdir() for line in one.read_text().splitlines())
    assert kept == list(range(1_000 - len(kept), 1_000))
    assert len(kept) * 100 >= BOUND * (PARTS - 2) / PARTS


def test_compressed_files_hold_the_bound_and_have_whole_lines(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / f"traces-{os.getpid()}.jsonl.gz", BOUND)
    drawn = random.Random(7)
    lines = [f"{number} {drawn.randbytes(40).hex()}\n" for number in range(500)]
    for line in lines:
        file.write(line)
        assert size_of(tmp_path) <= BOUND + len(LINE)
    file.close()
    parts = sorted(tmp_path.iterdir(), key=lambda one: int(one.suffixes[-3][1:]) if len(one.suffixes) > 2 else 0)
    kept = [line for one in parts for line in gzip.decompress(one.read_bytes()).decode().splitlines(keepends=True)]
    assert len(parts) > 2
    assert kept == lines[-len(kept) :]
    assert len(kept) > 50


def test_a_compressed_output_is_read_as_a_plain_one(tmp_path: Path) -> None:
    whywait.start(config=Config(output=tmp_path, output_gzip=True))
    with whywait.phase("the work"):
        pass
    whywait.stop()
    assert [one.suffixes for one in tmp_path.iterdir()] == [[".jsonl", ".gz"]]
    assert "the work" in set(load_traces(tmp_path).spans["name"])


def test_files_that_went_head_the_report(tmp_path: Path) -> None:
    whywait.start(config=Config(output=tmp_path, output_max_bytes=200_000, sampler=False))
    for number in range(1_000):
        with whywait.phase(f"piece {number}"):
            pass
    whywait.stop()
    result = analyze(tmp_path)
    assert 0 < len(result.requests) < 1_000
    (told,) = [one.message for one in result.findings if one.code == "lost-records"]
    (gone,) = re.findall(r"(\d+) × oldest trace file", told)
    assert int(gone) > 1


def test_without_a_bound_there_is_one_file(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces-1.jsonl")
    for _ in range(1_000):
        file.write(LINE)
    file.close()
    assert [one.name for one in tmp_path.iterdir()] == ["traces-1.jsonl"]


def test_a_line_longer_than_a_part_is_written_whole(tmp_path: Path) -> None:
    file = TraceFile(tmp_path / "traces-1.jsonl", BOUND)
    long = "y" * (BOUND // 4) + "\n"
    file.write(LINE)
    file.write(long)
    file.write(LINE)
    file.close()
    assert long in [one.read_text() for one in tmp_path.iterdir()]


def test_what_others_write_or_own_stays(tmp_path: Path) -> None:
    own = tmp_path / f"traces-{os.getpid()}.jsonl"
    written = tmp_path / f"traces-{os.getppid()}.1.jsonl"
    full = tmp_path / f"traces-{os.getppid()}.jsonl"
    foreign = tmp_path / "orders.jsonl"
    ended = tmp_path / "traces-999999999.jsonl"
    for at_s, file in enumerate((foreign, full, written, ended, own)):
        file.write_text(LINE)
        os.utime(file, (at_s, at_s))
    assert make_room(own, 3 * len(LINE)) == [full]
    packed = own.rename(f"{own}.gz")
    assert make_room(packed, 0) == [ended], "of a process that compressed none"
    assert {one.name for one in tmp_path.iterdir()} == {packed.name, written.name, foreign.name}


def test_parts_have_names_of_their_own() -> None:
    first = Path("traces-7.jsonl")
    assert [part_path(first, one).name for one in (0, 1, 12)] == [
        "traces-7.jsonl",
        "traces-7.1.jsonl",
        "traces-7.12.jsonl",
    ]


@pytest.mark.parametrize("found", ["much", "-1", "1.5"])
def test_a_bound_that_is_no_number_is_refused(found: str) -> None:
    with pytest.raises(ConfigError, match="WHYWAIT_OUTPUT_MAX_MB"):
        from_environment({"WHYWAIT_OUTPUT_MAX_MB": found})


def test_the_bound_is_a_setting() -> None:
    assert from_environment({"WHYWAIT_OUTPUT_MAX_MB": "5"}).output_max_bytes == 5_000_000
    assert from_environment({"WHYWAIT_OUTPUT_GZIP": "1"}).output_gzip
    assert from_environment({}).output_max_bytes == 1_000_000_000
