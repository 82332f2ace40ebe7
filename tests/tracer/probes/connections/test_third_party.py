"""A pool of somebody else's library: one small file and one entry point. And what a pool may be like."""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

import whywait
from tests.tracer.conftest import Traced
from whywait.tracer import schema
from whywait.tracer.host import code_location
from whywait.tracer.host.code_location import is_library
from whywait.tracer.hotpath import recorder

ORE = """
import asyncio


class Mine:
    __slots__ = ("_free",)  # no weak references

    def __init__(self, carts):
        self._free = asyncio.Queue()
        for number in range(carts):
            self._free.put_nowait(Cart(number))

    async def take(self):
        cart = await self._free.get()
        await cart.harness()
        return cart

    def put_back(self, cart):
        self._free.put_nowait(cart)


class Cart:
    def __init__(self, number):
        self.number = number
        self.harnessed = False

    async def harness(self):
        if not self.harnessed:
            self.harnessed = True
            await asyncio.sleep(0.03)
"""
ENTRY = """
from whywait.tracer.probes.connections.pool_probe import ConnectionPool, PoolProbe

POOLS = PoolProbe(
    "ore",
    ConnectionPool(
        pool="ore.Mine", acquire="ore.Mine.take", release="ore.Mine.put_back", connects=("ore.Cart.harness",),
        size=lambda mine: mine._free.maxsize or 1, knob="carts of Mine", name=lambda mine: "ore mine",
    ),
)
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes a distribution of three files: a library, its entry in the table, and the entry point."""

    def install(ore: str = ORE) -> None:
        (tmp_path / "ore.py").write_text(ore)
        (tmp_path / "ore_pools.py").write_text(ENTRY)
        about = tmp_path / "ore-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ore\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[whywait.probes]\nore = ore_pools:POOLS\n")
        monkeypatch.syspath_prepend(tmp_path)

    yield install
    for module in ("ore", "ore_pools"):
        sys.modules.pop(module, None)


async def dig() -> None:
    await asyncio.sleep(0.05)


@whywait.traced
async def shift(mine: "object") -> None:
    cart = await mine.take()  # type: ignore[attr-defined]
    try:
        await dig()
    finally:
        mine.put_back(cart)  # type: ignore[attr-defined]


def test_it_is_patched_when_it_is_imported_and_its_holder_is_named(
    installed: Callable[..., None], traced_to: Callable[..., Traced]
) -> None:
    installed()
    spans = traced_to()
    import ore  # type: ignore[import-not-found]

    async def work() -> None:
        mine = ore.Mine(1)
        await asyncio.gather(shift(mine), shift(mine))

    asyncio.run(work())
    spans.stop()
    assert not hasattr(ore.Mine.take, "__wrapped__")
    assert not hasattr(ore.Cart.harness, "__wrapped__")
    (wait,) = (span for span in spans.of_kind("wait") if span["wait"] == "connection_wait")
    assert 78 < wait.ms < 130  # the other one's harnessing and digging
    assert (wait["pool.name"], wait["pool.size"], wait["pool.knob"]) == ("ore mine", 1, "carts of Mine")
    assert wait["pool.file"] == __file__
    assert wait["occupant.names"] == ["dig"]
    assert wait["occupant.files"] == [__file__]
    assert wait["occupant.lines"] == [dig.__code__.co_firstlineno + 1]
    assert wait["occupant.trace_ids"] != [wait.trace_id]
    assert sum(wait["occupant.ns"]) + wait["occupant.other_ns"] == wait.end_ns - wait.start_ns


def test_to_make_a_connection_and_to_have_one_is_no_wait_and_errors_are_the_librarys(
    installed: Callable[..., None], traced_to: Callable[..., Traced]
) -> None:
    installed(ORE.replace("self.harnessed = True", "self.harnessed = True; self.number.broken"))
    spans = traced_to()
    import ore

    async def work() -> None:
        mine = ore.Mine(1)
        with pytest.raises(AttributeError) as raised:
            await shift(mine)
        assert not any(str(entry.path).endswith("pool_probe.py") for entry in raised.traceback)
        cart = ore.Cart(1)
        cart.harnessed = True
        mine.put_back(cart)  # of which nothing is known
        await shift(mine)

    asyncio.run(work())
    assert recorder.active is not None
    assert "ore" in recorder.active.undo
    spans.stop()
    assert not [span for span in spans.of_kind("wait") if span["wait"] == "connection_wait"]


SERVES = """

async def serve(mine, work):  # as a framework sends a response in a task of its own
    cart = await mine.take()
    await asyncio.wait([asyncio.create_task(work())])
    mine.put_back(cart)
"""


@pytest.mark.parametrize("makes", [True, False])
def test_a_holder_that_awaits_a_library_stood_where_its_request_s_other_tasks_did_and_connecting_is_a_step(
    installed: Callable[..., None], traced_to: Callable[..., Traced], makes: bool, tmp_path: Path
) -> None:
    installed(ORE + SERVES)
    (tmp_path / "ore_pools.py").write_text(ENTRY.replace("knob=", f"makes={makes}, knob="))
    spans = traced_to()
    import ore

    async def work() -> None:
        mine, serve = ore.Mine(1), whywait.traced(ore.serve)
        await asyncio.gather(serve(mine, dig), serve(mine, dig))

    is_library.cache_clear()
    with mock.patch.object(code_location, "_LIBRARY_ROOTS", (str(tmp_path), *code_location._LIBRARY_ROOTS)):
        asyncio.run(work())
        spans.stop()
    is_library.cache_clear()
    waits = spans.of_kind("wait")
    (wait,) = (span for span in waits if span["wait"] == "connection_wait")
    assert wait["occupant.names"] == ["dig"]
    assert wait["occupant.lines"] == [dig.__code__.co_firstlineno + 1]
    steps = [span for span in waits if span.attributes.get(schema.FOR_STEP) == schema.STEP_CONNECT]
    assert len(steps) == makes
    assert all(25 < step.ms < 60 for step in steps)  # the harnessing


def test_outside_requests_a_holder_is_known_by_its_function(
    installed: Callable[..., None], traced_to: Callable[..., Traced]
) -> None:
    installed()
    spans = traced_to()
    import ore

    async def refill(mine: object) -> None:
        cart = await mine.take()  # type: ignore[attr-defined]
        await dig()
        mine.put_back(cart)  # type: ignore[attr-defined]

    async def work() -> None:
        mine = ore.Mine(1)
        background = asyncio.create_task(refill(mine))
        await asyncio.sleep(0)
        await shift(mine)
        await background

    asyncio.run(work())
    spans.stop()
    (wait,) = (span for span in spans.of_kind("wait") if span["wait"] == "connection_wait")
    assert wait["occupant.names"] == [refill.__qualname__]
    assert wait["occupant.trace_ids"] == [""]


def test_without_the_method_that_releases_it_is_left_alone(
    installed: Callable[..., None], traced_to: Callable[..., Traced], caplog: pytest.LogCaptureFixture
) -> None:
    installed(ORE.replace("put_back", "give_back"))
    traced_to()
    with caplog.at_level(logging.WARNING, "whywait"):
        import ore
    assert not hasattr(ore.Mine.take, "__wrapped__")
    (line,) = caplog.messages
    assert "ore.Mine.put_back does not exist here" in line


def test_a_library_that_is_imported_by_many_threads_is_patched_once(
    installed: Callable[..., None], traced_to: Callable[..., Traced]
) -> None:
    installed()
    spans = traced_to()
    threads = [threading.Thread(target=__import__, args=("ore",)) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    taken = sys.modules["ore"].Mine.take
    assert hasattr(taken, "__wrapped__")
    assert not hasattr(taken.__wrapped__, "__wrapped__")
    spans.stop()
    assert not hasattr(sys.modules["ore"].Mine.take, "__wrapped__")
