"""Child processes that the host starts or forks: each is traced as itself, and to its end."""

import json
import os
import statistics
import subprocess
import sys
import threading
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
        "from whywait.tracer.host.own_thread import all_threads\n"
        "def census():\n"
        "    files = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')]\n"
        "    threads = sorted(one.name for one in all_threads())\n"
        "    return sum('traces-' in one for one in files), sum('whywait-samples' in one for one in files), threads\n"
        "with whywait.phase('in parent'): pass\n"
        "time.sleep(2)\n"
        "before = census()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    forked = census()[2]\n"
        "    with whywait.phase('in child'): pass\n"
        "    time.sleep(2)\n"
        "    after = census()\n"
        "    whywait.stop()\n"
        "    print(before, forked, after, census(), sep='\\n', flush=True)\n"
        "    os._exit(0)\n"
        "os.waitpid(child, 0)\n"
    )
    before, forked, after, stopped = run(tmp_path, "-c", code).splitlines()
    assert forked == "['MainThread']"  # nothing started before the mark
    assert after == before
    assert before.startswith("(1,")
    assert stopped == "(0, 0, ['MainThread'])"


LOOK = """
def look():
    import os, sys
    here = os.getpid()
    def parent(number):
        with open(f'/proc/{number}/stat') as file: return int(file.read().rpartition(')')[2].split()[1])
    ours = []
    for number in filter(str.isdigit, os.listdir('/proc')):
        try:
            if parent(number) == here: ours.append(number)
        except OSError: pass
    return {
        'threads': len(os.listdir('/proc/self/task')), 'children': len(ours),
        'started': 'whywait.tracer.session' in sys.modules and sys.modules['whywait.tracer.session'].is_active(),
    }
"""
NOTHING = {"threads": 1, "children": 0, "started": False}
PLAIN = LOOK + "import json; print(json.dumps(look()))\n"
CHILDREN = {
    "python -c": "import subprocess, sys; print(subprocess.check_output([sys.executable, '-c', PLAIN], text=True), end='')",
    "preexec_fn": "import subprocess, sys, os; print(subprocess.check_output([sys.executable, '-c', PLAIN], "
    "text=True, preexec_fn=os.getpgrp), end='')",
    "os.fork": "import os, json\nif (child := os.fork()): os.waitpid(child, 0)\n"
    "else: print(json.dumps(look()), flush=True); os._exit(0)",
    "loky": "from joblib import Parallel, delayed\nimport json\n"
    "print(json.dumps(Parallel(2, backend='loky')(delayed(look)() for _ in range(1))[0] | {'threads': 1}))",
    **{
        f"asyncio {loop}": f"import asyncio, sys, {loop}\nasync def main():\n"
        "    child = await asyncio.create_subprocess_exec(sys.executable, '-c', PLAIN, stdout=-1)\n"
        f"    print((await child.communicate())[0].decode(), end='')\n{loop}.run(main())"
        for loop in ("asyncio", "uvloop")
    },
}


@pytest.mark.parametrize("kind", CHILDREN)
def test_nothing_starts_in_a_child_that_serves_nobody(kind: str, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"{LOOK}\nPLAIN = {PLAIN!r}\n{CHILDREN[kind]}\n")
    said = run(tmp_path / "out", "-W", "ignore", str(program))
    assert json.loads(said.splitlines()[-1]) == NOTHING
    assert len(list((tmp_path / "out").iterdir())) <= 1  # the parent's, if a callback of its loop was long


SIGNS = {
    "a loop": "import asyncio\nasync def main(): return session.is_active()\nseen = asyncio.run(main())",
    "uvloop": "import uvloop\nasync def main(): return session.is_active()\nseen = uvloop.run(main())",
    "a mark": "import whywait\nwith whywait.phase('work'): seen = session.is_active()",
    "a span": "from opentelemetry import trace\nwith trace.get_tracer('x').start_as_current_span('work'): seen = session.is_active()",
}


@pytest.mark.parametrize(
    ("how", "sign"), [(how, sign) for how in ("fork", "python") for sign in SIGNS if (how, sign) != ("fork", "a span")]
)
def test_a_child_starts_at_the_first_sign_that_it_serves(how: str, sign: str, tmp_path: Path) -> None:
    session = (
        "class session:\n    @staticmethod\n    def is_active():\n        import whywait; return whywait.is_active()\n"
    )
    child = tmp_path / "child.py"
    child.write_text(f"{session}{SIGNS[sign]}\nprint(seen, flush=True)\nimport os; os._exit(0)\n")
    if how == "fork":
        program = "import os, runpy\nimport asyncio, uvloop\n" + (
            f"if (child := os.fork()): os.waitpid(child, 0)\nelse: runpy.run_path({str(child)!r})\n"
        )
    else:
        program = f"import subprocess, sys; print(subprocess.check_output([sys.executable, {str(child)!r}], text=True))"
    assert run(tmp_path / "out", "-c", program).split() == ["True"]


def test_the_first_request_of_a_forked_child_without_a_loop_is_traced(tmp_path: Path) -> None:
    code = (
        "import os, whywait\n"
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())\n"
        f"whywait.start(output={str(tmp_path / 'own')!r})\n"
        "if (child := os.fork()): os.waitpid(child, 0)\n"
        "else:\n"
        "    for name in ('first', 'second'):\n"
        "        with trace.get_tracer('x').start_as_current_span(name, kind=trace.SpanKind.SERVER): pass\n"
        "    whywait.stop()\n"
        "    os._exit(0)\n"
        "whywait.stop()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    spans = spans_in(tmp_path / "own")
    requests = {span.trace_id: span.name for span in spans if span.name in ("first", "second")}
    assert sorted(requests.values()) == ["first", "second"]
    assert {span.trace_id for span in spans if span["root"]} == set(requests)


def test_a_stop_in_a_forked_child_that_has_not_started_leaves_no_patch(tmp_path: Path) -> None:
    code = (
        "import os, whywait, time, threading\n"
        "if (child := os.fork()): os.waitpid(child, 0)\n"
        "else:\n"
        "    patched = time.sleep.__module__\n"
        "    whywait.stop()\n"
        "    with whywait.phase('work'): print(patched, time.sleep, threading.Lock, whywait.is_active(), flush=True)\n"
        "    os._exit(0)\n"
    )
    said = run(tmp_path, "-c", code)
    assert said == f"time <built-in function sleep> {threading.Lock} False\n"
    assert list(tmp_path.iterdir()) == []


def test_a_fork_makes_a_plain_lock_and_leaves_the_replacement(tmp_path: Path) -> None:
    """`threading` makes an RLock in a child before any hook of ours: the replacement would cost it some 65 pages."""
    app = tmp_path / "app.py"
    app.write_text(
        "import os, threading, whywait\n"
        "def is_traced(): return hasattr(threading.RLock(), '_made_at')\n"
        "first = is_traced()\n"
        "read, write = os.pipe()\n"
        "if not os.fork():\n"
        "    idle = is_traced()\n"
        "    with whywait.phase('work'): serving = is_traced()\n"
        "    os.write(write, str([idle, serving]).encode())\n"
        "    os._exit(0)\n"
        "os.wait()\n"
        "print(first, is_traced(), os.read(read, 99).decode())\n"
    )
    assert run(tmp_path / "traces", str(app)) == "True True [False, True]\n"


def test_a_python_child_that_serves_nobody_costs_next_to_nothing(tmp_path: Path) -> None:
    """In turns: untraced, traced, untraced again, whose difference is the noise. CPU, since others use the machine."""
    said = run(tmp_path / "out", "-c", "import json, os; print(json.dumps(dict(os.environ)))")
    traced_environment = json.loads(said)
    assert traced_environment["WHYWAIT_AUTOSTART"]
    # compiled once, as an installed package is
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    used: dict[str, list[float]] = {"untraced": [], "traced": [], "again": []}
    for _ in range(40):
        for variant, spent in used.items():
            environment = traced_environment if variant == "traced" else os.environ
            child = subprocess.Popen([sys.executable, "-c", "pass"], env={**environment, **compiled})
            usage = os.wait4(child.pid, 0)[2]
            child.returncode = 0
            spent.append(usage.ru_utime + usage.ru_stime)
    plain, ours, again = (statistics.quantiles(spent, n=10)[0] for spent in used.values())
    assert ours <= 1.2 * max(plain, again) + abs(plain - again)
