"""Looking at stacks: where a person should look, and that it harms nobody, whatever gc callbacks do."""

import asyncio
import gc
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvloop

from whywait.tracer.host.code_location import Place, place_of_thread, user_place

PROGRAM = """
import gc, random, sys, threading, time
from whywait.tracer.host.code_location import place_of_thread

main = threading.main_thread()
gc.callbacks.append(lambda phase, info: time.sleep(0.0001) if threading.current_thread() is main else None)
gc.set_threshold(20, 5, 5)
sys.setswitchinterval(1e-5)
stop = False

def deep(depth):
    made = [[] for _ in range(20)]
    return deep(depth - 1) if depth else {str(number): number for number in range(20)}

def work():
    while not stop:
        deep(random.randint(1, 25))

def come_and_go():
    while not stop:
        thread = threading.Thread(target=deep, args=(10,))
        thread.start()
        thread.join()

threads = [threading.Thread(target=one, daemon=True) for one in (work, work, work, come_and_go, come_and_go)]
for one in threads:
    one.start()
seen, until = set(), time.monotonic() + 3
while time.monotonic() < until:
    seen |= {place_of_thread(one.ident) for one in threads}
assert gc.isenabled()
stop = True
for one in threads:
    one.join()
print(len(seen))
"""


def test_a_process_full_of_threads_goes_on_while_it_is_looked_at() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) > 2


class Looks:
    """A callback of the user's, and a hook by which a library's callback has the stack looked at."""

    def __init__(self) -> None:
        self.seen: list[Place | None] = []

    def callback(self) -> None:
        self.seen.append(user_place(sys._getframe()))

    def hook(self, found: dict[str, Any]) -> dict[str, Any]:
        self.seen.append(user_place(sys._getframe(1)))
        return found


@pytest.mark.parametrize("factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_who_called_the_loop_is_not_where_a_callback_is(factory: Callable[[], asyncio.AbstractEventLoop]) -> None:
    looks = Looks()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(looks.callback)
        loop.call_soon(json.JSONDecoder(object_hook=looks.hook).decode, '{"a": 1}')
        await asyncio.sleep(0.01)

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    own, librarys = looks.seen
    assert own is not None
    assert own.function == "Looks.callback"
    assert librarys is not None
    assert librarys.file == json.decoder.__file__


def test_of_a_loop_that_runs_nothing_there_is_no_place() -> None:
    looked: list[Place | None] = []

    class Loop(asyncio.SelectorEventLoop):
        def _run_once(self) -> None:
            frame = sys._getframe(1)
            looked.append(user_place(frame))
            super()._run_once()  # type: ignore[misc]

    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(asyncio.sleep(0))
    assert set(looked) == {None}


class Callbacks:
    """What the collector calls back, once: it stays in there until it has been looked at."""

    def __init__(self) -> None:
        self.reached, self.seen = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.allocates)

    def on_collection(self, phase: str, _: dict[str, Any]) -> None:
        if phase == "start" and threading.current_thread() is self.thread and not self.reached.is_set():
            self.stands_still()

    def stands_still(self) -> None:
        self.reached.set()
        self.seen.wait(10)

    def allocates(self) -> None:
        gc.collect()

    def place(self) -> Place | None:
        self.thread.start()
        assert self.reached.wait(10)
        try:
            return place_of_thread(self.thread.ident or 0)
        finally:
            self.seen.set()
            self.thread.join()


def test_who_is_called_back_by_the_collector_is_not_where_a_thread_is() -> None:
    one = Callbacks()
    gc.callbacks.append(one.on_collection)
    try:
        place = one.place()
    finally:
        gc.callbacks.remove(one.on_collection)
    line = Callbacks.allocates.__code__.co_firstlineno + 1
    assert place == Place("Callbacks.allocates", __file__, line)


def test_the_same_function_called_by_the_user_is_where_a_thread_is() -> None:
    one = Callbacks()
    one.thread = threading.Thread(target=lambda: one.on_collection("start", {}))
    place = one.place()
    assert place is not None
    assert place.function == "Callbacks.stands_still"


def frees(piles: list[list[list[int]]]) -> None:
    while piles:
        piles.pop()  # freed without letting go of the GIL
        short()


def short() -> None:
    """The first chance to let go of it."""


SOON_S = 0.0002


@pytest.fixture
def eager() -> Iterator[None]:
    """Who waits for the GIL asks for it soon."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(SOON_S)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("eager")
def test_after_long_c_code_a_thread_is_where_that_was_called() -> None:
    thread = threading.Thread(target=frees, args=([[[] for _ in range(100_000)] for _ in range(12)],))
    thread.start()
    seen: Counter[str] = Counter()
    while thread.is_alive():
        time.sleep(0.0001)
        began = time.perf_counter()
        place = place_of_thread(thread.ident or 0)
        if time.perf_counter() - began >= SOON_S:
            continue  # it may have gone on since its frame was taken
        if place is not None and place.file == __file__:
            seen[place.function] += 1
    thread.join()
    assert seen["frees"] > 3
    assert "short" not in seen


async def goes_on(look: Callable[[], Place | None]) -> list[Place | None]:
    found = [look()]
    await asyncio.sleep(0)
    found.append(look())
    return found


@pytest.mark.parametrize("start", ["function", "coroutine"])
def test_a_function_that_does_something_is_where_a_thread_is(start: str) -> None:
    def look() -> Place | None:
        return place_of_thread(threading.get_ident())  # of this very thread: nobody waits for the GIL

    found = asyncio.run(goes_on(look)) if start == "coroutine" else [look()]
    assert {one.function.rsplit(".", 1)[-1] for one in found if one is not None} == {"look"}
    assert None not in found
