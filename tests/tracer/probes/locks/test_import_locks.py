"""Threads that wait for the import of a module: the lock has the module's name, and its holder is who imports it."""

import asyncio
import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracer.conftest import Traced
from whywait import phase

SLOW = "import time\ntime.sleep(0.2)\n"


def first(began: list[float]) -> None:
    began.append(time.perf_counter())
    importlib.import_module("whywait_slow_module")


def second(began: list[float], waited_s: list[float]) -> None:
    while not began or time.perf_counter() < began[0] + 0.05:
        time.sleep(0.005)
    start_s = time.perf_counter()
    importlib.import_module("whywait_slow_module")
    waited_s.append(time.perf_counter() - start_s)


def test_the_import_lock_says_which_module_and_who_imports_it(
    traced_to: Callable[..., Traced], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    traced = traced_to()
    (tmp_path / "whywait_slow_module.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    waited_s: list[float] = []

    async def main() -> None:
        began: list[float] = []
        with phase("request"):
            await asyncio.gather(asyncio.to_thread(first, began), asyncio.to_thread(second, began, waited_s))

    asyncio.run(main())
    sys.modules.pop("whywait_slow_module", None)
    traced.stop()
    (wait,) = [span for span in traced.spans if span["lock.kind"]]
    assert wait["lock.kind"] == "import lock of whywait_slow_module"
    assert wait["wait"] == "lock_wait"
    assert (wait["blocker.function"], wait["blocker.file"], wait["blocker.line"]) == (
        "first", __file__, first.__code__.co_firstlineno + 2,
    )  # fmt: skip
    (importer,) = traced.named("job first")
    assert wait["blocker.span_id"] == importer.span_id
    assert wait.ms == pytest.approx(waited_s[0] * 1e3, rel=0.1)


def test_after_stop_the_lock_is_the_interpreter_s_own(traced_to: Callable[..., Traced]) -> None:
    traced = traced_to()
    lock = importlib.import_module("importlib._bootstrap")._ModuleLock
    assert lock.acquire.__wrapped__.__qualname__ == "_ModuleLock.acquire"
    traced.stop()
    assert not hasattr(lock.acquire, "__wrapped__")
