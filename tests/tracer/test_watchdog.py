"""The watchdog's look at who holds the GIL: named, and not kept alive."""

import gc
import threading
from collections import deque
from types import SimpleNamespace
from typing import Any
from weakref import ref

from tracer.gil_holders import HolderSeen
from tracer.probes.watchdog import _Holders


def test_a_thread_that_was_looked_at_is_let_go() -> None:
    """An executor's manager thread that lives on as an object is woken by each forked worker's exit."""
    leave = threading.Event()
    thread = threading.Thread(target=leave.wait, name="the holder")
    thread.start()
    looks: deque[HolderSeen] = deque()
    sampler = SimpleNamespace(header=lambda: SimpleNamespace(waited_for=holder_id))
    holder_id = thread.native_id
    recorder: Any = SimpleNamespace(sampler=sampler, looks=looks)
    holders = _Holders(recorder)
    holders.look()
    assert [one.thread_name for one in looks] == ["the holder"]
    leave.set()
    thread.join()
    gone = ref(thread)
    del thread
    gc.collect()
    assert gone() is None
    holders.look()  # its number names nobody any more
    assert len(looks) == 1
