"""Programs that look at their own process, as few do: what they say, and how they end, is as without whywait."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from testbed.service import ROOT
from tests.unharmed.serving import traced

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, forks and descriptors of Linux")

PROGRAMS = {
    "it joins every thread": """
import threading
for thread in threading.enumerate():
    if thread is not threading.main_thread(): thread.join(5); print(thread.name)
print(threading.active_count())
""",
    "a handler calls the one before": """
import os, signal, time
before = signal.getsignal(signal.SIGTERM)
def handler(*call):
    print('mine', flush=True)
    if callable(before): before(*call)
print(signal.signal(signal.SIGTERM, handler))
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(0.1)
print('goes on', flush=True)
print(signal.signal(signal.SIGTERM, before).__name__, signal.getsignal(signal.SIGTERM), flush=True)
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)
""",
    "a loop's handler": """
import asyncio, os, signal, time
async def main():
    seen = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, seen.set)
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(seen.wait(), 5)
    print(asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM), flush=True)
asyncio.run(main())
os.kill(os.getpid(), signal.SIGTERM)
time.sleep(5)
""",
    "it waits for a signal that came before": """
import os, signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1, signal.SIGTERM})
for number in (signal.SIGUSR1, signal.SIGTERM):
    os.kill(os.getpid(), number)
    time.sleep(0.1)
    print(signal.sigtimedwait({number}, 5).si_signo, flush=True)
""",
    "functions in C are attributes of classes": """
import asyncio, os, select, signal, threading, time
class Own:
    sleep, select, leave, send, lock = time.sleep, select.select, os._exit, signal.raise_signal, threading.Lock
async def main():
    await asyncio.to_thread(Own().sleep, 0.001)
    Own().sleep(0.001)
    print(Own().select([], [], [], 0), Own().lock().acquire(), Own.sleep, time.sleep.__self__)
asyncio.run(main())
for wrong in ((), ('x',), (1, 2), (-1,)):
    try: time.sleep(*wrong)
    except (TypeError, ValueError) as error: print(error)
Own().leave(3)
""",
    "it pickles and copies functions": """
import asyncio, concurrent.futures, copy, os, pickle, select, signal, threading, time
for one in (time.sleep, select.select, os._exit, signal.raise_signal, signal.signal, asyncio.Lock,
            concurrent.futures.ThreadPoolExecutor.submit, concurrent.futures.Future.result, asyncio.to_thread):
    print(pickle.loads(pickle.dumps(one)) is one, copy.copy(one) is one, copy.deepcopy(one) is one)
""",
    "it replaces a function and stops whywait": """
import sys, time
plain, called = time.sleep, []
def sleep(seconds): called.append(seconds); plain(seconds)
time.sleep = sleep
sys.modules['whywait'].stop() if 'whywait' in sys.modules else None
time.sleep(0)
print(called, time.sleep is sleep)
""",
    "a daemon closes every file in its child": """
import asyncio, os, time
reader, writer = os.pipe()
if os.fork():
    os.close(writer)
    print(os.read(reader, 99), os.read(reader, 99))
else:
    kept = os.dup2(writer, 300)
    os.closerange(3, 300)
    files = [os.open('/dev/null', os.O_WRONLY) for _ in range(40)]
    pipes = [os.pipe() for _ in range(20)]
    async def main():
        for _ in range(5): await asyncio.to_thread(time.sleep, 0.01)
    asyncio.run(main())
    for _, each in pipes: os.write(each, b'x')
    os.write(kept, str([os.fstat(each).st_rdev != 0 for each in files].count(True)).encode())
    os._exit(0)
""",
    "a process of one thread forks": """
import os, warnings
warnings.simplefilter('always')
for _ in range(2):
    if os.fork() == 0: os._exit(0)
    os.wait()
import threading
thread = threading.Thread(target=print, args=('beside a thread',))
thread.start(); thread.join()
print('over')
""",
    "a forked child computes in C and is to end": """
import os, signal, time
child = os.fork()
if child == 0:
    sum(range(10 ** 11))
time.sleep(0.3)
os.kill(child, signal.SIGTERM)
time.sleep(0.3)
ended = os.waitpid(child, os.WNOHANG)
if not ended[0]: os.kill(child, signal.SIGKILL)
print(ended[0] == child, ended[1])
""",
    "gevent": """
from gevent import monkey; monkey.patch_all()
import gevent, threading, time
threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(5)]
for one in threads: one.start()
for one in threads: one.join(5)
print(threading.active_count(), gevent.spawn(sum, (1, 2)).get(timeout=5))
""",
}


def run(command: list[str], folder: Path) -> tuple[int, str, list[str]]:
    """The exit code, what it said, and on stderr without lines of whywait and numbers of processes."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, [one for one in done.stderr.splitlines() if not one.startswith("whywait: ")]


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_that_looks_at_itself_sees_no_difference(name: str, tmp_path: Path) -> None:
    if name == "gevent":
        pytest.importorskip("gevent")
    program = tmp_path / "program.py"
    program.write_text(PROGRAMS[name])
    command = [sys.executable, "-W", "ignore::ImportWarning", str(program)]
    plain = run(command, tmp_path)
    assert plain[1], plain
    assert run(traced(tmp_path / "traces", *command), tmp_path) == plain


def test_what_a_service_opens_after_it_closed_every_file_is_its_own(tmp_path: Path) -> None:
    """Also those of whywait, whose numbers its own files have now: they are neither written to, read nor closed."""
    program = (
        "import asyncio, os, time, whywait\n"
        f"whywait.start(output={str(tmp_path / 'traces')!r})\n"
        "async def work(name):\n"
        "    for _ in range(10):\n"
        "        with whywait.phase(name): await asyncio.to_thread(time.sleep, 0.02)\n"
        "asyncio.run(work('before'))\n"
        "time.sleep(1.5)\n"
        "os.closerange(3, 200)\n"
        f"files = [os.open(f'{tmp_path}/{{number}}', os.O_CREAT | os.O_RDWR) for number in range(40)]\n"
        "pipes = [os.pipe() for _ in range(20)]\n"
        "for each in files: os.write(each, b'mine')\n"
        "for _, each in pipes: os.write(each, b'mine')\n"
        "time.sleep(2.5)\n"
        "asyncio.run(work('after'))\n"
        "time.sleep(1)\n"
        "whywait.stop()\n"
        "assert {os.pread(each, 99, 0) for each in files} == {b'mine'}\n"
        "assert {os.read(each, 99) for each, _ in pipes} == {b'mine'}\n"
        "print('sound')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "sound\n"), done.stderr
    written = "".join(path.read_text() for path in (tmp_path / "traces").iterdir())
    assert '"before"' in written
    assert '"after"' in written
