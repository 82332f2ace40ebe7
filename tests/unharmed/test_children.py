"""Child processes that the host starts or forks: each is traced as itself, and to its end."""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from testbed.service import ROOT, unusual
from tests.tracer.conftest import read
from tests.unharmed.serving import traced
from tests.unharmed.test_workers import spans_in

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")


def run(output: Path, *command: str) -> str:
    # a fork of a process with threads warns from 3.12 on
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        traced(output, sys.executable, *command), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert unusual(done.stderr) == []
    return done.stdout


@pytest.mark.parametrize("kind", ["process", "pool", "executor"])
@pytest.mark.parametrize("method", ["spawn", "fork", "forkserver"])
def test_what_children_do_is_in_their_own_traces(method: str, kind: str, tmp_path: Path) -> None:
    done = json.loads(run(tmp_path, "-m", "tests.unharmed.children", method, kind))
    phases = [span for span in spans_in(tmp_path) if span["kind"] == "phase"]
    seen = {span.name: span.process_id for span in phases if not span.name.startswith("part of ")}
    around = seen.pop("around", None)
    assert seen == done
    assert around == (done["main"] if kind == "process" else None)
    times = Counter(span.name for span in phases)
    assert set(times.values()) == {1}, times
    by_name = {span.name: span for span in phases}
    for name in done:
        assert by_name[f"part of {name}"].trace_id == by_name[name].trace_id
        assert by_name[f"part of {name}"].process_id == done[name]
    assert len({by_name[name].trace_id for name in done}) == len(done)


def test_a_fork_in_the_midst_of_a_phase_is_told_by_the_parent_alone(tmp_path: Path) -> None:
    code = (
        "import os, whywait\n"
        "with whywait.phase('around'):\n"
        "    child = os.fork()\n"
        "    with whywait.phase('in child' if child == 0 else 'in parent'): pass\n"
        "with whywait.phase('after in child' if child == 0 else 'after in parent'): pass\n"
        "whywait.stop()\n"
        "os._exit(0) if child == 0 else os.waitpid(child, 0)\n"
    )
    run(tmp_path, "-c", code)
    spans = [span for span in spans_in(tmp_path) if span["kind"] == "phase"]
    by_process: dict[int, set[str]] = {}
    for span in spans:
        by_process.setdefault(span.process_id, set()).add(span.name)
    assert sorted(by_process.values(), key=len) == [
        {"in child", "after in child"},
        {"around", "in parent", "after in parent"},
    ]
    assert len({span.span_id for span in spans}) == len(spans)
    traces = {span.name: span.trace_id for span in spans}
    assert traces["in child"] != traces["around"] == traces["in parent"]


def test_forks_while_much_is_written_tear_no_line_and_repeat_none(tmp_path: Path) -> None:
    code = (
        "import os, threading, time, whywait\n"
        "on = True\n"
        "def produce():\n"
        "    number = 0\n"
        "    while on or number < 400:\n"
        "        with whywait.phase(f'parent {number}'): number += 1; time.sleep(0.002)\n"
        "    print(number)\n"
        "thread = threading.Thread(target=produce)\n"
        "thread.start()\n"
        "for turn in range(6):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        with whywait.phase(f'child {turn}'): pass\n"
        "        whywait.stop()\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "on = False\n"
        "thread.join()\n"
    )
    output = tmp_path / "one.jsonl"
    produced = int(run(output, "-c", code))
    names = Counter(span.name for span in read(output) if span["kind"] == "phase")  # every line is JSON
    assert names == Counter([*(f"parent {number}" for number in range(produced)), *(f"child {t}" for t in range(6))])


def test_a_forked_child_keeps_nothing_of_the_parents(tmp_path: Path) -> None:
    code = (
        "import os, threading, time, whywait\n"
        "def census():\n"
        "    files = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')]\n"
        "    threads = sorted(one.name for one in threading.enumerate())\n"
        "    return sum('traces-' in one for one in files), sum('whywait-samples' in one for one in files), threads\n"
        "before = census()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(0.3)\n"
        "    after = census()\n"
        "    whywait.stop()\n"
        "    print(before, after, census(), sep='\\n', flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    before, after, stopped = run(tmp_path, "-c", code).splitlines()
    assert after == before
    assert stopped == "(0, 0, ['MainThread'])"
