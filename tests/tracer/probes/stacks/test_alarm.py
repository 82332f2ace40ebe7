"""While nothing happens the watchdog sleeps; a callback that lasts wakes it, and is told with its line."""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from tests.tracer.conftest import Traced
from whywait.tracer.config import Config
from whywait.tracer.hotpath.recorder import Recorder
from whywait.tracer.probes.stacks import watchdog
from whywait.tracer.probes.stacks.alarm import Alarm
from whywait.tracer.probes.stacks.watchdog import _Pace
from whywait.tracer.records.loop import Loop

Begin = Callable[..., Traced]
pytestmark = pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="no timers that are files here")


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once, and without a periodic look that would find what the alarm should."""
    monkeypatch.setattr(watchdog, "_REST_AFTER_NS", 0)
    monkeypatch.setattr(watchdog, "_REST_S", 20.0)
    monkeypatch.setattr(watchdog, "_SOUND_S", 20.0)


def keeps_the_loop() -> None:
    time.sleep(0.1)


@pytest.mark.usefixtures("rests")
@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_block_after_an_idle_time_is_told_with_its_line(traced_to: Begin, factory: Any) -> None:
    async def main() -> None:
        await asyncio.sleep(0.05)  # the watchdog has seen the loop
        for _ in range(5):
            await asyncio.sleep(0.02)
        keeps_the_loop()

    spans = traced_to()
    loop = factory()
    loop.run_until_complete(main())
    loop.close()
    spans.stop()
    (block,) = [one for one in spans.spans if one.ms >= 90]
    assert block.attributes["code.function.name"].endswith("keeps_the_loop")
    assert block.attributes["code.line.number"] == keeps_the_loop.__code__.co_firstlineno + 1


@pytest.mark.usefixtures("rests")
def test_it_sleeps_while_callbacks_are_short() -> None:
    recorder = Recorder(Config())
    loop = Loop(threading.get_ident(), threading.get_native_id())
    loop.selects = True
    recorder.loops.append(loop)
    pace = _Pace(recorder, 0.1)
    for until in ("one lasts", "there are many"):
        thread = threading.Thread(target=pace.sleep)
        thread.start()
        while loop.alarm is None:
            time.sleep(0.001)
        for _ in range(watchdog._MOST_SETS // 2):
            loop.alarm.set()
            loop.alarm.stop()
        thread.join(0.3)
        assert thread.is_alive()
        loop.alarm.set()
        while until == "there are many" and (alarm := loop.alarm) is not None:
            alarm.set()
            alarm.stop()
        thread.join(5)
        assert not thread.is_alive()
        assert loop.alarm is None
    pace.close()


def test_a_host_that_closes_the_file_loses_nothing_of_its_own(tmp_path: Path) -> None:
    alarm = Alarm(10_000_000, 10)
    os.close(alarm._fd)
    with (tmp_path / "theirs").open("w") as theirs:
        assert theirs.fileno() == alarm._fd
        alarm.renew()
        alarm.set()
        alarm.stop()
        assert alarm.wait(0.01)
        alarm.close()
        theirs.write("whole")
    assert (tmp_path / "theirs").read_text() == "whole"
