"""The story as a user runs it: told to its end, interrupted, or refused in one line."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.children import heed_interrupts

SMALL = {
    "WHYWAIT_DEMO_TRAINING_ROWS": "200",
    "WHYWAIT_DEMO_TREES": "10",
    "WHYWAIT_DEMO_DEPTH": "3",
    "WHYWAIT_DEMO_POOL_SIZE": "3",
}


def begin(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "demo_service.story", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **SMALL, "PYTHONUNBUFFERED": "1"},
        preexec_fn=heed_interrupts,
    )


def services_writing_to(folder: Path) -> list[int]:
    """Processes whose environment names the folder as the place of their traces."""
    mark = f"WHYWAIT_OUTPUT={folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def test_the_story_is_told_to_its_end(tmp_path: Path) -> None:
    out = tmp_path / "out"
    story = begin("--out", str(out), "--modes", "to_thread,batch", "--clients", "1,2", "--seconds", "0.5")
    said, errors = story.communicate(timeout=120)
    assert story.returncode == 0, errors
    assert errors == ""
    assert str(out) in said.replace("\n", "")
    opening, rest = said.split("The other ways to do the same:")
    assert "accounted for" in opening  # the first answer comes as soon as two cells were driven, and of them
    assert ("2/4  batch × 2 clients" in opening, "3/4" in opening, "4/4  batch × 1 client:" in rest) == (
        True,
        False,
        True,
    )
    foretold = rest.split("Predicted from the mode before")[1]
    assert "to_thread → batch (one call for a request's 14 jobs): p50 " in " ".join(foretold.split())
    results = json.loads((out / "results.json").read_text())
    cells = {(cell["mode"], cell["clients"]): cell for cell in results["cells"]}
    assert list(cells) == [("to_thread", 1), ("to_thread", 2), ("batch", 1), ("batch", 2)]
    for cell in cells.values():
        assert cell["failures"] == 0
        assert cell["requests_analysed"] + cell["requests_incomplete"] == cell["answers"]
        assert sum(one["share"] for one in cell["causes"]) == pytest.approx(1)
    assert results["comparison"]["clients"] == 2
    assert len(results["verdicts"]) >= 2
    assert results["conditions"]["cpus_usable"] >= 1
    assert (out / "report.html").read_text().lstrip().lower().startswith("<!doctype html")
    assert services_writing_to(out) == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the service through /proc")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_an_interrupted_story_leaves_no_process_behind(number: signal.Signals, code: int, tmp_path: Path) -> None:
    story = begin("--out", str(tmp_path), "--modes", "batch", "--seconds", "60", "--clients", "1")
    try:
        deadline_s = time.monotonic() + 60
        while not services_writing_to(tmp_path):
            assert story.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        assert story.stdout is not None
        if number != signal.SIGTERM:  # one of them while the service still starts, the others under load
            assert "The service is up" in story.stdout.readline()
        story.send_signal(number)
        _, errors = story.communicate(timeout=60)
    finally:
        story.kill()
    assert story.returncode == code
    if number == signal.SIGINT:
        assert errors == "whywait demo: interrupted; the service was stopped\n"
    else:
        assert errors == ""
    if number == signal.SIGKILL:  # nobody was left to wait for the service: the kernel tells it
        deadline_s = time.monotonic() + 30
        while services_writing_to(tmp_path) and time.monotonic() < deadline_s:
            time.sleep(0.05)
    assert services_writing_to(tmp_path) == []


def test_a_folder_with_traces_is_not_mixed_with_new_ones(tmp_path: Path) -> None:
    (tmp_path / "traces").mkdir()
    (tmp_path / "traces" / "traces-1.jsonl").write_text("")
    story = begin("--out", str(tmp_path))
    _, errors = story.communicate(timeout=60)
    assert story.returncode == 2
    assert errors.startswith("whywait demo: ")
    assert "choose another --out" in errors
    assert errors.count("\n") == 1


def test_a_busy_port_is_one_line_and_exit_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        story = begin("--out", str(tmp_path), "--port", str(port))
        _, errors = story.communicate(timeout=60)
    assert story.returncode == 2
    assert errors.startswith(f"whywait demo: port {port} cannot be used")
    assert errors.count("\n") == 1
