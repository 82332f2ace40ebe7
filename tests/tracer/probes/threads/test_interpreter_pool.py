"""Python 3.14's `InterpreterPoolExecutor`: its jobs are traced from outside, and nothing of ours goes into it."""

import math
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracer.conftest import Traced
from whywait import phase
from whywait.tracer.host.interpreter import frames_of_threads

if sys.version_info < (3, 14):
    pytest.skip("InterpreterPoolExecutor comes with Python 3.14", allow_module_level=True)

from concurrent.futures import InterpreterPoolExecutor, interpreter

Begin = Callable[..., Traced]
ROOT = Path(__file__).parents[4]
NAP_S = 0.03


OURS = "sorted(name for name in __import__('sys').modules if name.partition('.')[0] in ('whywait', 'opentelemetry'))"
SERVICE = f"""
import whywait
from concurrent.futures import InterpreterPoolExecutor
assert whywait.is_active()
with InterpreterPoolExecutor(1) as pool:
    print(pool.submit(eval, {OURS!r}).result())
"""


def test_a_traced_process_has_untraced_interpreters(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "whywait", "run", "-o", str(tmp_path), "--", sys.executable, "-c", SERVICE],
        capture_output=True, text=True, timeout=60, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "[]"


WATCHED = """
import sys, threading, time
from concurrent.futures import InterpreterPoolExecutor
from whywait.tracer.host.interpreter import frames_of_threads
frames, ended = (sys._current_frames if sys.argv[1] == "plain" else frames_of_threads), []
def watch():
    while not ended: frames()
threading.Thread(target=watch).start()
end = time.monotonic() + 2
while time.monotonic() < end:
    with InterpreterPoolExecutor(2) as pool: list(pool.map(sum, [range(9)] * 4))
ended.append(True)
"""


def test_frames_are_not_read_beside_another_interpreter() -> None:
    """`sys._current_frames` reads those of other interpreters too, which run meanwhile: it crashes in most runs."""
    done = subprocess.run([sys.executable, "-c", WATCHED, "ours"], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert threading.get_ident() in frames_of_threads()


def test_jobs_give_what_they_give_untraced_and_are_traced(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), InterpreterPoolExecutor(1, "worlds") as pool:
        began = time.perf_counter()
        results = [pool.submit(time.sleep, NAP_S), pool.submit(math.factorial, 5)]
        assert [one.result() for one in results] == [None, 120]
        took_ms = (time.perf_counter() - began) * 1e3
        with pytest.raises(ValueError, match="invalid literal") as failed:
            pool.submit(int, "x").result()
        with pytest.raises(TypeError, match="scripts"):
            pool.submit("print(1)")  # type: ignore[arg-type]
    spans.stop()
    assert traceback.extract_tb(failed.value.__traceback__)[-1].filename == interpreter.__file__
    assert not any("whywait" in one.filename for one in traceback.extract_tb(failed.value.__traceback__))
    slow = spans.one("sleep")
    assert NAP_S * 1e3 <= slow.ms <= took_ms
    assert slow.attributes["thread.name"].startswith("worlds")
    (queued,) = [one for one in spans.of_kind("wait") if one["wait"] == "pool_queue" and one.ms > NAP_S * 1e3 / 2]
    assert queued["occupant.names"] == ["sleep"]
    assert spans.one("job int")["outcome"] == "error"


def test_outside_a_request_and_after_stop(traced_to: Begin) -> None:
    spans = traced_to()
    with InterpreterPoolExecutor(1) as pool:
        pool.submit(time.sleep, NAP_S)
        queued = pool.submit(math.factorial, 5)  # runs after `stop`
        spans.stop()
        assert queued.result() == 120
        assert pool.submit(math.factorial, 6).result() == 720
    assert not spans.of_kind("job")
