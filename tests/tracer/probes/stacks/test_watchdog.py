"""The watchdog's look at who holds the GIL: named, and not kept alive."""

import gc
import threading
from collections import deque
from types import SimpleNamespace
from typing import Any
from weakref import ref

import pytest

from whywait.tracer.host.code_location import Place
from whywait.tracer.probes.stacks.watchdog import _Holders, _Seen
from whywait.tracer.records.gil_holder import HolderSeen
from whywait.tracer.records.loop import Sample


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


@pytest.mark.parametrize(("looked_at", "told"), [(7, "parse"), (6, "here")], ids=["this run", "an earlier one"])
def test_what_a_collection_showed_of_c_code_counts_as_a_look(looked_at: int, told: str) -> None:
    def here() -> None:
        _Seen(7, loop.sample).look(loop, 20_000_000)

    before = looked_at, Sample(Place("parse", "service.py", 3), None)
    loop: Any = SimpleNamespace(
        thread_id=threading.get_ident(), native_id=threading.get_native_id(), run_start_ns=7, sample=before
    )
    here()
    run_start_ns, sample = loop.sample
    assert (run_start_ns, sample.place.function.rsplit(".", 1)[-1]) == (7, told)
