"""Looking at stacks: where a person should look, and that it harms nobody, whatever gc callbacks do."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import uvloop

from tracer.places import user_place
from tracer.records import Place

PROGRAM = """
import gc, random, sys, threading, time
from tracer.places import place_of_thread

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
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=False
    )
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


@pytest.mark.parametrize(
    "factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def test_who_called_the_loop_is_not_where_a_callback_is(
    factory: Callable[[], asyncio.AbstractEventLoop],
) -> None:
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
