"""Process pools behave, traced, as they do untraced: errors and their tracebacks, breaking, cancelling, exits."""

import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pytest

from tests.tracer.conftest import Traced
from tests.tracer.probes.process_pool.process_work import nap, spin
from whywait import phase

Begin = Callable[..., Traced]
SPAWN = multiprocessing.get_context("spawn")


class Unpicklable:
    """Whose pickling fails in the host's own code."""

    def __reduce__(self) -> Any:
        raise ValueError("not this one")


class BreaksWhenUnpickled:
    """Whose unpickling fails, in whichever process."""

    def __reduce__(self) -> Any:
        return int, ("no number",)


def unpicklable() -> Unpicklable:
    return Unpicklable()


def breaks_when_unpickled() -> BreaksWhenUnpickled:
    return BreaksWhenUnpickled()


def exit_now() -> None:
    os._exit(3)


def process_id() -> int:
    return os.getpid()


def told(future: "Future[Any]") -> str:
    """What the host is told of a failure, with the traceback of where it came from."""
    error = future.exception(timeout=60)
    assert error is not None
    text = "".join(traceback.format_exception(error))
    return re.sub(r"0x[0-9a-f]+|Process-\d+", "?", text)


def both(traced_to: Begin, act: Callable[[ProcessPoolExecutor], str]) -> tuple[str, str]:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        without = act(pool)
    spans = traced_to()
    with phase("root"), ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        traced = act(pool)
    spans.stop()
    return without, traced


@pytest.mark.parametrize(
    "act",
    [
        lambda pool: told(pool.submit(nap, Unpicklable())),
        lambda pool: told(pool.submit(lambda: None)),
        lambda pool: told(pool.submit(unpicklable)),
        lambda pool: told(pool.submit(breaks_when_unpickled)),
        lambda pool: told(pool.submit(exit_now)),
        lambda pool: told(pool.submit(nap, "no number")),
    ],
    ids=["argument", "function", "result", "result's unpickling", "exit", "in the job"],
)
def test_what_the_host_is_told_of_a_failure(traced_to: Begin, act: Callable[[ProcessPoolExecutor], str]) -> None:
    without, traced = both(traced_to, act)
    assert "/tracer/" not in traced.replace("/tests/tracer/", "/")
    # the same frames; those of this test are at the end of the other call
    assert traced == without


def test_a_queue_of_the_hosts_own(traced_to: Begin, capfd: pytest.CaptureFixture[str]) -> None:
    spans = traced_to()
    queue = SPAWN.Queue()
    with phase("root"):
        queue.put({"a": 1})
        assert queue.get(timeout=10) == {"a": 1}
        queue.put(Unpicklable())
        deadline = time.monotonic() + 10
        said = ""
        while "not this one" not in said and time.monotonic() < deadline:
            time.sleep(0.01)
            said += capfd.readouterr().err
    spans.stop()
    queue.close()
    queue.join_thread()
    assert "not this one" in said
    assert "/tracer/" not in said.replace("/tests/tracer/", "/")


def test_an_unpicklable_argument_leaves_the_pool_usable(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        for _ in range(5):  # more than the queue of calls has places
            with pytest.raises(ValueError, match="not this one"):
                pool.submit(nap, Unpicklable()).result()
        assert pool.submit(process_id).result() in pool._processes
    spans.stop()
    assert [span["outcome"] for span in spans.named("job nap")] == ["error"] * 5


def test_workers_that_end_after_each_task(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ProcessPoolExecutor(2, mp_context=SPAWN, max_tasks_per_child=1) as pool:
        ids = [job.result() for job in [pool.submit(process_id) for _ in range(4)]]
    spans.stop()
    assert len(set(ids)) == 4
    runs = spans.named("process_id")
    assert len(runs) == 4
    assert {run["worker.pid"] for run in runs if run["worker.pid"]} <= set(ids)


def test_shutdown_that_cancels(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"):
        pool = ProcessPoolExecutor(1, mp_context=SPAWN)
        jobs = [pool.submit(nap, 0.05) for _ in range(8)]
        jobs[0].result()
        pool.shutdown(cancel_futures=True)
        assert all(job.done() for job in jobs)
        cancelled = sum(job.cancelled() for job in jobs)
    spans.stop()
    assert cancelled
    outcomes = [span["outcome"] for span in spans.named("job nap")]
    assert outcomes.count("cancelled") == cancelled


def test_a_broken_pool_ends_all_its_jobs(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        pool.submit(nap, 0.5)
        assert isinstance(pool.submit(exit_now).exception(timeout=60), BrokenProcessPool)
        with pytest.raises(BrokenProcessPool):
            pool.submit(nap, 0)
    spans.stop()
    assert spans.one("job exit_now")["outcome"] == "error"


class Own(ProcessPoolExecutor):
    """A subclass that changes what it is handed."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        return super().submit(fn, *args, **kwargs)


def test_a_subclass(traced_to: Begin) -> None:
    spans = traced_to()
    with phase("root"), Own(1, mp_context=SPAWN) as pool:
        pool.submit(spin, 0.03).result()
        assert list(pool.map(spin, [0.0] * 3, chunksize=2))
    spans.stop()
    assert len(spans.named("job spin")) == 3


def test_what_is_pickled_is_what_would_be_without_us(traced_to: Begin) -> None:
    from concurrent.futures import process
    from multiprocessing import queues

    item = process._CallItem(7, nap, (0.5,), {"a": [1, 2]})  # type: ignore[attr-defined]
    before = bytes(queues._ForkingPickler.dumps(item))  # type: ignore[attr-defined]
    spans = traced_to()
    pickler = queues._ForkingPickler  # type: ignore[attr-defined]
    assert bytes(pickler.dumps(item)) == before
    assert vars(pickler.loads(before)) == vars(item)
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickler.dumps(lambda: None)
    spans.stop()


PROGRAM = """
import multiprocessing, sys, time
from concurrent.futures import ProcessPoolExecutor

def work(n):
    assert "whywait" not in sys.modules
    return n * 2

if __name__ == "__main__":
    import whywait
    whywait.start("test", output=sys.argv[1])
    # the workers find no package of ours
    sys.path[:] = [one for one in sys.path if one not in (sys.argv[2], "")]
    with whywait.phase("root"), ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        print(list(pool.map(work, range(6))))
    whywait.stop()
"""


def test_a_worker_without_our_package(tmp_path: Any) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    root = str(Path(__file__).resolve().parents[4])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}); sys.argv = sys.argv[1:];"
         "import runpy; runpy.run_path(sys.argv[0], run_name='__main__')", str(script), str(tmp_path / "out"), root],
        cwd=tmp_path, env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "[0, 2, 4, 6, 8, 10]", done.stderr
