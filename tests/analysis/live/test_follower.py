"""Files that grow, are cut, renamed and joined by others: every whole line once, and losses counted."""

import os
from pathlib import Path

import pytest

from whywait.analysis.live import follower as followers
from whywait.analysis.live import tail as tails
from whywait.analysis.live.follower import Follower
from whywait.analysis.live.reader import EVERYTHING

MOST = 1 << 20


def came(follower: Follower, *, final: bool = False) -> list[bytes]:
    return [line for _, line in follower.poll(MOST, final=final)]


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "traces.jsonl"


def test_what_is_there_already_is_left_out_unless_asked_for(file: Path) -> None:
    append(file, b"old\n")
    follower, everything = Follower(file), Follower(file, back=EVERYTHING)
    assert came(follower) == []
    assert came(everything) == [b"old\n"]
    append(file, b"new\n")
    assert came(follower) == [b"new\n"]
    assert came(follower) == []
    follower.close()
    everything.close()


def test_the_end_of_a_file_begins_with_a_whole_line(file: Path) -> None:
    append(file, b"first\nsecond\nthird\n")
    follower = Follower(file, back=8)
    assert came(follower) == [b"second\n", b"third\n"]
    follower.close()


def test_half_a_line_waits_for_its_other_half(file: Path) -> None:
    follower = Follower(file)
    assert came(follower) == []  # not even the file is there
    append(file, b"one\ntw")
    assert came(follower) == [b"one\n"]
    assert came(follower) == []
    append(file, b"o\nthree")
    assert came(follower) == [b"two\n"]
    assert came(follower, final=True) == [b"three"]
    assert came(follower, final=True) == []
    follower.close()


def test_a_line_being_written_when_we_begin_is_whole(file: Path) -> None:
    append(file, b"old\nha")
    follower = Follower(file)
    assert came(follower) == []
    append(file, b"lf\n")
    assert came(follower) == [b"half\n"]
    follower.close()


def test_every_split_of_the_bytes_gives_the_same_lines(file: Path) -> None:
    data = b"a\nbcd\n\nefg\nh"
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            file.write_bytes(data[:first])
            follower = Follower(file, back=EVERYTHING)
            got = came(follower)
            append(file, data[first:second])
            got += came(follower)
            append(file, data[second:])
            got += came(follower, final=True)
            follower.close()
            assert got == data.splitlines(keepends=True)
            assert not follower.lost


def test_a_cut_file_is_read_from_its_beginning(file: Path) -> None:
    follower = Follower(file)
    append(file, b"a long first line\n")
    assert came(follower) == [b"a long first line\n"]
    os.truncate(file, 0)
    append(file, b"short\n")
    assert came(follower) == [b"short\n"]
    assert follower.lost[tails.REWRITTEN] == 1
    follower.close()


def test_a_file_cut_and_grown_past_our_place_is_noticed(file: Path) -> None:
    follower = Follower(file)
    append(file, b"first\n")
    assert came(follower) == [b"first\n"]
    os.truncate(file, 0)
    append(file, b"other\nand more than before\n")
    assert came(follower) == [b"other\n", b"and more than before\n"]
    assert follower.lost[tails.REWRITTEN] == 1
    follower.close()


def test_a_renamed_file_is_followed_while_its_writer_writes_on(file: Path) -> None:
    follower = Follower(file)
    with file.open("ab", buffering=0) as writer:
        writer.write(b"one\n")
        assert came(follower) == [b"one\n"]
        file.rename(file.with_suffix(".jsonl.1"))
        writer.write(b"two\n")
        append(file, b"of the new file\n")
        assert sorted(came(follower)) == [b"of the new file\n", b"two\n"]
        writer.write(b"three\n")
        assert came(follower) == [b"three\n"]
    follower.close()


def test_a_file_renamed_to_another_of_the_directory_is_not_read_twice(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    append(tmp_path / "traces-1.jsonl", b"one\n")
    assert came(follower) == [b"one\n"]
    (tmp_path / "traces-1.jsonl").rename(tmp_path / "old.jsonl")
    append(tmp_path / "traces-1.jsonl", b"two\n")
    assert came(follower) == [b"two\n"]
    follower.close()


def test_new_workers_files_are_read_from_their_beginning_and_others_are_not(tmp_path: Path) -> None:
    append(tmp_path / "traces-1.jsonl", b"before\n")
    follower = Follower(tmp_path)
    assert came(follower) == []
    append(tmp_path / "traces-2.jsonl", b"worker two\n")
    append(tmp_path / "notes.txt", b"none of ours\n")
    (tmp_path / "folder.jsonl").mkdir()
    append(tmp_path / "traces-1.jsonl", b"worker one\n")
    assert sorted(came(follower)) == [b"worker one\n", b"worker two\n"]
    follower.close()


def test_descriptors_are_bounded_and_files_that_are_gone_are_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(followers, "_MOST_OPEN", 3)
    monkeypatch.setattr(followers, "_FORGET_AFTER", 2)
    follower = Follower(tmp_path)
    paths = [tmp_path / f"traces-{number}.jsonl" for number in range(10)]
    for path in paths:
        append(path, b"one\n")
    assert len(came(follower)) == 10
    assert sum(tail.is_open for tail in follower._tails.values()) <= 3
    for path in paths:
        append(path, b"two\n")
    assert came(follower) == [b"two\n"] * 10
    for path in paths:
        path.unlink()
    for _ in range(4):
        came(follower)
    assert follower.files == 0
    follower.close()


def test_a_line_without_end_is_skipped_and_counted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "_LONGEST_LINE", 100)
    monkeypatch.setattr(tails, "_CHUNK", 40)
    follower = Follower(file)
    append(file, b"x" * 500)
    assert came(follower) == []
    append(file, b"x" * 50 + b"\nnext\n")
    assert came(follower) == [b"next\n"]
    assert follower.lost == {tails.LOST_LINE: 1}
    follower.close()


def test_more_than_fits_in_a_turn_stays_in_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "_CHUNK", 1000)
    follower = Follower(file)
    append(file, b"0123456789\n" * 1000)
    got = list(follower.poll(2000))
    assert 0 < len(got) < 1000
    assert follower.behind == 11 * (1000 - len(got))
    while more := list(follower.poll(2000)):
        got += more
    assert len(got) == 1000
    follower.close()
