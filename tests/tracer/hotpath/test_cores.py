"""The two cores write the same records; the native one holds nothing back, and gives way where it must.

Random programs run in two processes, one for each core, and their activities and wakers are compared. What depends on
the clock (which waits are long enough for a place in the code) is left out.
"""

import json
import os
import subprocess
import sys
from ast import literal_eval
from importlib.util import find_spec
from pathlib import Path

import pytest

from whywait.tracer.host.native import native_core

PROGRAMS = Path(__file__).with_name("random_programs.py")
SEEDS = range(8)
needs_native = pytest.mark.skipif(find_spec("whywait.tracer.host._core") is None, reason="the native core is not built")


def python(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "WHYWAIT_CORE": "native", **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_native
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_random_programs_are_recorded_alike(loop: str) -> None:
    seeds = [str(one) for one in SEEDS]
    # twice: on a busy machine a job may end before its waiter waits
    by_core = {
        name: [json.loads(python(str(PROGRAMS), loop, *seeds, WHYWAIT_CORE=name)) for _ in range(2)]
        for name in (native_core.PYTHON, native_core.NATIVE)
    }
    for name, runs in by_core.items():
        assert {one["core"] for one in runs} == {name}
        assert all(sum(map(len, one["programs"])) > 10 * len(SEEDS) for one in runs)  # activities
    for at, seed in enumerate(SEEDS):
        plain, native = ([one["programs"][at] for one in runs] for runs in by_core.values())
        assert any(one in plain for one in native), f"program {seed}: {plain}\n{native}"


@needs_native
@pytest.mark.parametrize(
    ("said", "picked"), [("", "native"), ("Python ", "python"), ("native", "native"), ("off", "python")]
)
def test_the_environment_picks_the_core(said: str, picked: str) -> None:
    code = "from whywait.tracer.hotpath import core; print(core.name)"
    assert python("-c", code, WHYWAIT_CORE=said).strip() == picked


@needs_native
def test_a_record_of_another_shape_is_refused() -> None:
    """The Python core takes over where a slot is not where it should be; nothing is written to the wrong place."""
    code = """
from whywait.tracer.records import loop
class Loop(loop.Loop):
    live = property(lambda self: True)
loop.Loop = Loop
from whywait.tracer.hotpath import core, thread_state
assert core.name == "python" and core.handle_runner is thread_state.handle_runner
print(core.why_python)
"""
    assert "Loop.live is no slot" in python("-c", code)


@needs_native
def test_a_core_of_other_sources_is_refused() -> None:
    """An installation that is edited in place runs what it was edited to, or the Python core, never what was before."""
    code = """
import whywait.tracer.host._core as built
built.SOURCES += 1
from whywait.tracer.hotpath import core
print(core.name, core.why_python)
"""
    assert python("-c", code).startswith("python it was built from other sources")


@needs_native
def test_another_interpreter_cannot_have_it() -> None:
    code = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
one = interpreters.create()
interpreters.run_string(one, '''
from whywait.tracer.hotpath import core
assert core.name == "python", core.name
''')
"""
    if sys.version_info >= (3, 12):
        pytest.skip("a library below it refuses to be imported there")
    python("-c", code)


REQUESTS = """
import asyncio, gc, threading, time, tracemalloc, whywait
from concurrent.futures import ThreadPoolExecutor
from weakref import ref
from whywait.tracer.config import KEEP_SLOW, Config

class Thing:
    pass

async def waits(thing):
    await asyncio.sleep(0)
    return thing

async def fails(thing):
    await asyncio.sleep(0)
    raise ValueError(thing)

def called(thing):
    raise KeyError(thing)

async def request(seen):
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda loop, context: None)
    with whywait.phase("request"):
        things = [Thing() for _ in range(4)]
        loop.call_soon(called, things[0])
        loop.call_later(0.0, things.append, things[1])
        cancelled = loop.call_later(60, called, things[2])
        cancelled.cancel()
        await asyncio.gather(waits(things[1]), fails(things[2]), return_exceptions=True)
        await loop.run_in_executor(None, id, things[3])
        with ThreadPoolExecutor(1) as own:  # it and its latest job refer to each other
            await loop.run_in_executor(own, id, things[3])
        left = ThreadPoolExecutor(1)  # its job ends after the request
        left.submit(time.sleep, 0.002)
        left.shutdown(wait=False)
        seen += map(ref, things[:4])

async def main():
    for _ in range(60):
        await asyncio.create_task(request([]))
    gc.collect()
    tracemalloc.start()
    seen = []
    held = tracemalloc.get_traced_memory()[0]
    for _ in range(400):
        await asyncio.create_task(request(seen))
    while any(one.name.startswith("ThreadPool") for one in threading.enumerate()):
        await asyncio.sleep(0.01)
    gc.collect()
    left = sum(1 for one in seen if one() is not None)
    del seen
    grown = (tracemalloc.get_traced_memory()[0] - held) // 400
    print(left, grown)

for factory in (None, __import__("uvloop").new_event_loop):
    whywait.start("leaks", config=Config(keep=KEEP_SLOW, slow_ns=10**15, keep_share=0.0))
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    whywait.stop()
"""


@needs_native
def test_it_keeps_no_object_of_the_host_alive() -> None:
    """Callbacks, arguments, results and exceptions go with the request; what is kept is what the Python core keeps."""
    by_core = [python("-c", REQUESTS, WHYWAIT_CORE=name).split() for name in (native_core.PYTHON, native_core.NATIVE)]
    for (left, plain), (also_left, native) in zip(
        *(zip(one[::2], one[1::2], strict=True) for one in by_core), strict=True
    ):
        assert int(also_left) <= max(int(left), 4)  # the latest request's may still be in the loop's hands
        # bytes a request: the bounded past of loops and pools is being filled, by 15% more or less from run to run
        assert int(native) < int(plain) * 1.3 + 100


HELD = """
import asyncio, sys, time, uvloop
import whywait
from whywait.tracer.config import Config
from whywait.tracer.hotpath import recorder
from whywait.tracer.records.current import here

def spin():
    until = time.perf_counter_ns() + 300_000
    while time.perf_counter_ns() < until:
        pass

async def held():
    with whywait.phase("request"):
        spin()
        await asyncio.sleep(0)
        spin()
        asyncio.get_running_loop().call_soon(spin)
        await asyncio.sleep(0.001)
        spin()
    spin()

async def main():
    requests = []
    whywait.start(config=Config(sampler=False))
    recorder.active.finish = lambda request, **_: requests.append(request)
    await asyncio.create_task(held())
    asyncio.get_running_loop().call_soon(spin)
    await asyncio.sleep(0.001)
    root = requests[0].root
    blocks = [(one.start_ns < one.end_ns, 0 < one.cpu_ns, one.parent_id) for one in root.blocks]
    long = [one for one in here.loop.callbacks if one.calls == 1 and one.busy_ns >= 300_000]
    whose = [
        (one.code and one.code.co_qualname, one.request is requests[0], bool(one.trace_id), one.span_id == root.span_id)
        for one in long
    ]
    whywait.stop()
    return blocks, whose, root.steps

print(asyncio.Runner(loop_factory=uvloop.new_event_loop if "uvloop" in sys.argv else None).run(main()))
"""


@needs_native
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_callbacks_that_held_the_loop_are_recorded_alike(loop: str) -> None:
    said = {python("-c", HELD, loop, WHYWAIT_CORE=name) for name in (native_core.PYTHON, native_core.NATIVE)}
    assert len(said) == 1, said
    blocks, whose, _ = literal_eval(said.pop())
    assert blocks == [(True, True, 0)] * 3  # the step in which it began, until it ended in one
    # of the request: its steps, and what it scheduled
    assert whose == [(None, True, True, True)] * 4 + [("spin", False, False, False)]


RELEASED = """
import asyncio, gc
import whywait
from whywait.tracer.config import KEEP_SLOW, Config
from whywait.tracer.hotpath import recorder
from whywait.tracer.records.request import Request

async def main():
    ended = []
    whywait.start(config=Config(keep=KEEP_SLOW, slow_ns=10**15, keep_share=0.0, sampler=False))
    plain = recorder.active.finish
    recorder.active.finish = lambda request, **more: (ended.append(request), plain(request, **more))
    for _ in range(3):
        with whywait.phase("request"):
            await asyncio.gather(*(asyncio.to_thread(int) for _ in range(4)))
    whywait.stop()
    gc.collect()
    return [one for one in ended if any(map(gc.is_tracked, (one, one.activities, one.phases, one.tasks)))], len(ended)

print(asyncio.run(main()))
"""


@needs_native
def test_the_collector_of_garbage_need_not_walk_over_what_was_dropped() -> None:
    assert python("-c", RELEASED).strip() == "([], 3)"
