"""A disk that takes no more harms no request; what was not written is counted, and no line is torn."""

import os
import re
import resource
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

import whywait
from testbed.service import free_port, get
from tests.tracer.conftest import read
from tests.unharmed.serving import Served, serving, traced
from tests.unharmed.test_collector import MOST_RATIO, latencies_ms, ratio
from whywait import analysis
from whywait.tracer.config import Config
from whywait.tracer.export.trace_file import TraceFile

LOST = re.compile(r"whywait: dropped ([1-9]\d*) spans of process \d+: the file")


def service(stack: ExitStack, output: Path, folder: Path) -> Served:
    port = free_port()
    server = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    command = traced(output, *server, "tests.unharmed.app:app")
    return stack.enter_context(serving(command, port, folder / f"{output.stem}.log"))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_requests_are_as_fast_as_with_room_on_the_disk(tmp_path: Path) -> None:
    full, room = tmp_path / "full.jsonl", tmp_path / "room.jsonl"
    full.symlink_to("/dev/full")
    with ExitStack() as stack:
        services = [service(stack, output, tmp_path) for output in (room, full)]
        for one in services:
            latencies_ms(one.url, 10)
        time.sleep(2)
        found = ratio(*services)
    assert found < MOST_RATIO
    assert LOST.search(services[0].said) is None
    assert LOST.search(services[1].said)
    assert "No space left on device" in services[1].said
    assert "Traceback" not in services[1].said
    assert len(services[1].said.splitlines()) < 10, "it says so again and again"


def test_a_disk_that_fills_up_and_is_emptied(tmp_path: Path) -> None:
    """By the limit of a file's size, which the service is given while it runs."""
    output, most = tmp_path / "traces.jsonl", 500_001

    def limit(size: int) -> None:
        resource.prlimit(only.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    with ExitStack() as stack:
        only = service(stack, output, tmp_path)
        limit(most)
        for number in range(80):
            get(f"{only.url}/ask/{number}")
        time.sleep(2.5)
        assert most / 2 < output.stat().st_size <= most
        analysis.analyze(output)  # also now every line is whole
        limit(resource.RLIM_INFINITY)
        get(f"{only.url}/ask/last")
    assert LOST.search(only.said)
    spans = read(output)
    names = {span.name for span in spans}
    assert {"on loop 0", "on loop last"} <= names
    (last,) = [span for span in spans if span.name == "on loop last"]
    (root,) = [span for span in spans if span["root"] and span.trace_id == last.trace_id]
    (kind,) = root["lost.kinds"]
    assert re.fullmatch(r"\d+ × span for the file traces.jsonl", kind)
    assert any(one.code == "lost-records" for one in analysis.analyze(output).findings)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_stop_ends_all_the_same(tmp_path: Path) -> None:
    output = tmp_path / "t.jsonl"
    output.symlink_to("/dev/full")
    whywait.start("test", config=Config(output=output, sampler=False))
    with whywait.phase("work"):
        pass
    whywait.stop()  # the automatic fixture looks for what is left


def test_a_line_of_which_a_part_was_written_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.jsonl"
    file, other = TraceFile(path), TraceFile(path)
    file.write("one\n")
    plain = os.write
    answers = [lambda fd, content: plain(fd, content[:2]), _full]
    monkeypatch.setattr("os.write", lambda fd, content: (answers.pop(0) if answers else plain)(fd, content))
    file.write("two\n")
    assert file.error is not None
    assert path.read_text() == "one\n"
    file.write("three\n")
    assert file.error is None
    answers += [lambda fd, content: plain(fd, content[:2]), lambda fd, _: _full_after(other)]
    file.write("four\n")
    file.write("five\n")
    file.close()
    other.close()
    # another process had appended to what was torn: only that line is lost, with the one it tore
    assert path.read_text() == "one\nthree\nfoother\n\nfive\n"


def _full(*_: object) -> int:
    raise OSError(28, "No space left on device")


def _full_after(other: TraceFile) -> int:
    other.write("other\n")
    return _full()
