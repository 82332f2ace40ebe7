"""GIL starvation by a loop that never idles: recognised, told apart from an ordinary hog, and its remedy checked."""

import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import whywait
from testbed.disturbed import disturbed
from testbed.gil.never_idle import NAME
from whywait import analysis
from whywait.analysis.verdicts.sentences import verdict


class Starvation(NamedTuple):
    """The longest request, in ms, and the verdict, with Python's switch interval and with a short one."""

    before_max_ms: float
    verdict: str
    after_max_ms: float
    verdict_after: str


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Starvation:
    folder = tmp_path_factory.mktemp("never-idle")
    return Starvation(*run(folder / "before"), *run(folder / "after", "--switch-interval", "0.0002"))


def run(output: Path, *options: str) -> tuple[float, str]:
    command = [sys.executable, "-m", "testbed.gil.never_idle", "--output", str(output), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return max(json.loads(done.stdout)), " ".join(one.text for one in verdict(analysis.analyze(output)))


def test_it_is_recognised_and_the_one_who_keeps_the_loop_busy_is_named(told: Starvation) -> None:
    if told.before_max_ms < 200:
        disturbed(f"nobody starved in this run: at most {told.before_max_ms:.0f} ms")
    assert "GIL starvation by a loop that never idles" in told.verdict
    assert "GIL wait " in told.verdict
    assert ": blocked by _poll (gil/never_idle.py:" in told.verdict


def test_the_remedy_ends_it(told: Starvation) -> None:
    if told.before_max_ms < 200:
        disturbed(f"nobody starved in this run: at most {told.before_max_ms:.0f} ms")
    assert told.after_max_ms < told.before_max_ms / 4
    assert "GIL starvation" not in told.verdict_after


def test_an_ordinary_hog_starves_nobody(tmp_path: Path) -> None:
    stop = False

    def hog() -> None:
        while not stop:
            sum(range(1_000))

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(12):
            with whywait.phase(NAME):
                await loop.run_in_executor(None, int)
            await asyncio.sleep(0.005)

    whywait.start(output=f"{tmp_path}/")
    thread = threading.Thread(target=hog)
    thread.start()
    time.sleep(0.3)
    asyncio.run(serve())
    stop = True
    thread.join()
    whywait.stop()
    found = analysis.analyze(tmp_path)
    assert "GIL starvation" not in " ".join(one.text for one in analysis.verdict(found))
    causes = found.causes.groupby("cause")["amount_ns"].sum()
    if causes.sum() < 12 * sys.getswitchinterval() * 1e9:
        disturbed("the hog itself lacked a CPU: requests hardly waited")
    waited_ns = causes.get("gil_wait", 0) + causes.get("cpu_wait", 0)
    assert waited_ns > 0.25 * causes.sum()
